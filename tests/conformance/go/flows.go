// Calls of covers with the official Go SDK, unmodified: go run . PORT
//
// The server is the SDK's proxy, so every URL stays as in the cloud. One JSON line per flow goes to standard output.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tencentyun/cos-go-sdk-v5"
)

const (
	bucket    = "test-1250000000"
	region    = "ap-chongqing"
	secretID  = "AKIDTEST"
	secretKey = "SECRETTEST"
	tag       = "SmartCover"
)

var unknown = strings.Repeat("1", 32)

type flow struct {
	name string
	run  func(context.Context, *cos.Client) error
}

func expect(kept bool, text string, values ...interface{}) error {
	if kept {
		return nil
	}
	return fmt.Errorf(text, values...)
}

// first gives the first error that is one.
func first(found ...error) error {
	for _, err := range found {
		if err != nil {
			return err
		}
	}
	return nil
}

func clientOf(port string, key string) *cos.Client {
	address := func(service string) *url.URL {
		return &url.URL{Scheme: "http", Host: bucket + "." + service + "." + region + ".myqcloud.com"}
	}
	server := &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}
	return cos.NewClient(
		&cos.BaseURL{BucketURL: address("cos"), CIURL: address("ci")},
		&http.Client{Transport: &cos.AuthorizationTransport{
			SecretID:  secretID,
			SecretKey: key,
			Transport: &http.Transport{Proxy: http.ProxyURL(server)},
		}},
	)
}

func output() *cos.JobOutput {
	return &cos.JobOutput{Region: region, Bucket: bucket, Object: "go/out/cover-${number}.jpg"}
}

func cover() *cos.NodeSmartCover {
	return &cos.NodeSmartCover{Format: "jpg", Width: "1280", Height: "960", Count: "3", DeleteDuplicates: "true"}
}

func operation() cos.MediaProcessJobOperation {
	return cos.MediaProcessJobOperation{Output: output(), SmartCover: cover()}
}

func submit(ctx context.Context, client *cos.Client, key string) (*cos.MediaProcessJobDetail, error) {
	asked := operation()
	made, _, err := client.CI.CreateMediaJobs(ctx, &cos.CreateMediaJobsOptions{
		Tag:       tag,
		Input:     &cos.JobInput{Object: key},
		Operation: &asked,
	})
	if err != nil {
		return nil, err
	}
	return made.JobsDetail, expect(made.JobsDetail != nil, "the answer has no JobsDetail")
}

func objects(ctx context.Context, client *cos.Client) error {
	key := "go/dir/视频 a+b(1)'.txt"
	if _, err := client.Object.Put(ctx, key, strings.NewReader("hello"), nil); err != nil {
		return err
	}
	got, err := client.Object.Get(ctx, key, nil)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	content, err := io.ReadAll(got.Body)
	if err != nil {
		return err
	}
	listed, _, err := client.Bucket.Get(ctx, &cos.BucketGetOptions{Prefix: "go/dir/", MaxKeys: 10})
	if err != nil {
		return err
	}
	if err = first(
		expect(string(content) == "hello", "the object holds %q", content),
		expect(len(listed.Contents) == 1 && listed.Contents[0].Key == key, "the list is %v", listed.Contents),
	); err != nil {
		return err
	}
	if _, err = client.Object.Delete(ctx, key); err != nil {
		return err
	}
	_, err = client.Object.Head(ctx, key, nil)
	return expect(cos.IsNotFoundError(err), "HEAD of what was deleted gave %v", err)
}

func multipart(ctx context.Context, client *cos.Client) error {
	folder, err := os.MkdirTemp("", "smartcover-go-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "large.bin")
	content := bytes.Repeat([]byte("smartcover"), 350000)
	if err = os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	// The SDK compares the checksum of each part and of the whole by itself.
	if _, _, err = client.Object.Upload(ctx, "go/large.bin", file, &cos.MultiUploadOptions{PartSize: 1}); err != nil {
		return err
	}
	got, err := client.Object.Get(ctx, "go/large.bin", nil)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	back, err := io.ReadAll(got.Body)
	return first(err, expect(bytes.Equal(back, content), "what came back is not what was sent"))
}

func jobs(ctx context.Context, client *cos.Client) error {
	made, err := submit(ctx, client, "go/视频 a.mp4")
	if err != nil {
		return err
	}
	asked := []cos.MediaProcessJobOperation{operation(), operation()}
	for number := range asked {
		asked[number].Tag = tag
		asked[number].UserData = fmt.Sprint(number)
	}
	pair, _, err := client.CI.CreateMultiMediaJobs(ctx, &cos.CreateMultiMediaJobsOptions{
		Input:     &cos.JobInput{Object: "go/b.mp4"},
		Operation: asked,
	})
	if err != nil {
		return err
	}
	if err = first(
		expect(made.State == "Submitted", "State is %q", made.State),
		expect(len(pair.JobsDetail) == 2, "%d jobs were made", len(pair.JobsDetail)),
	); err != nil {
		return err
	}
	one, _, err := client.CI.DescribeMediaJob(ctx, made.JobId)
	if err != nil {
		return err
	}
	ids := []string{pair.JobsDetail[0].JobId, pair.JobsDetail[1].JobId, "j" + unknown}
	several, _, err := client.CI.DescribeMultiMediaJob(ctx, ids)
	if err != nil {
		return err
	}
	if _, err = client.CI.CancelJob(ctx, made.JobId); err != nil {
		return err
	}
	over, _, err := client.CI.DescribeMediaJob(ctx, made.JobId)
	return first(
		err,
		expect(one.JobsDetail.JobId == made.JobId, "another job was described"),
		expect(len(several.JobsDetail) == 2, "%d jobs were described", len(several.JobsDetail)),
		expect(len(several.NonExistJobIds) == 1, "NonExistJobIds is %v", several.NonExistJobIds),
		expect(over.JobsDetail.State == "Cancel", "State is %q after the cancel", over.JobsDetail.State),
	)
}

func lists(ctx context.Context, client *cos.Client) error {
	for number := 0; number < 3; number++ {
		if _, err := submit(ctx, client, "go/listed.mp4"); err != nil {
			return err
		}
	}
	asked := &cos.DescribeMediaJobsOptions{Tag: tag, InputObject: "go/listed.mp4", Size: 2}
	page, _, err := client.CI.DescribeMediaJobs(ctx, asked)
	if err != nil {
		return err
	}
	asked.NextToken = page.NextToken
	rest, _, err := client.CI.DescribeMediaJobs(ctx, asked)
	return first(
		err,
		expect(len(page.JobsDetail) == 2, "the first page has %d jobs", len(page.JobsDetail)),
		expect(len(rest.JobsDetail) == 1 && rest.NextToken == "", "the last page is %v", rest),
	)
}

func templates(ctx context.Context, client *cos.Client) error {
	wish := &cos.CreateMediaSmartCoverTemplateOptions{Tag: tag, Name: "go-模板", SmartCover: cover()}
	made, _, err := client.CI.CreateMediaSmartCoverTemplate(ctx, wish)
	if err != nil {
		return err
	}
	id := made.Template.TemplateId
	wish.Name = "go-2"
	changed, _, err := client.CI.UpdateMediaSmartCoverTemplate(ctx, wish, id)
	if err != nil {
		return err
	}
	found, _, err := client.CI.DescribeMediaTemplate(ctx, &cos.DescribeMediaTemplateOptions{Ids: id})
	if err != nil {
		return err
	}
	gone, _, err := client.CI.DeleteMediaTemplate(ctx, id)
	return first(
		err,
		expect(changed.Template.Name == "go-2", "Name is %q", changed.Template.Name),
		expect(len(found.TemplateList) == 1, "%d templates were found", len(found.TemplateList)),
		expect(gone.TemplateId == id, "%q was deleted", gone.TemplateId),
	)
}

func queues(ctx context.Context, client *cos.Client) error {
	listed, _, err := client.CI.DescribeMediaProcessQueues(ctx, &cos.DescribeMediaProcessQueuesOptions{})
	if err != nil {
		return err
	}
	if len(listed.QueueList) != 1 {
		return fmt.Errorf("%d queues are listed", len(listed.QueueList))
	}
	queue := listed.QueueList[0]
	changed, _, err := client.CI.UpdateMediaProcessQueue(ctx, &cos.UpdateMediaProcessQueueOptions{
		Name:         queue.Name,
		QueueID:      queue.QueueId,
		State:        "Active",
		NotifyConfig: &cos.MediaProcessQueueNotifyConfig{State: "Off"},
	})
	return first(err, expect(changed.Queue != nil && changed.Queue.State == "Active", "the answer is %v", changed))
}

func workflows(ctx context.Context, client *cos.Client) error {
	wish := &cos.CreateMediaWorkflowOptions{MediaWorkflow: &cos.MediaWorkflow{
		Name:  "go",
		State: "Paused",
		Topology: &cos.Topology{
			Dependencies: map[string]string{"Start": "SmartCover_1", "SmartCover_1": "End"},
			Nodes: map[string]cos.Node{
				"Start": {Type: "Start", Input: &cos.NodeInput{ObjectPrefix: "go/in/"}},
				"SmartCover_1": {Type: tag, Operation: &cos.NodeOperation{
					Output:     &cos.NodeOutput{Region: region, Bucket: bucket, Object: "go/out/${RunId}-${Number}.jpg"},
					SmartCover: cover(),
				}},
			},
		},
	}}
	made, _, err := client.CI.CreateMediaWorkflow(ctx, wish)
	if err != nil {
		return err
	}
	id := made.MediaWorkflow.WorkflowId
	if _, err = client.CI.ActiveMediaWorkflow(ctx, id); err != nil {
		return err
	}
	if _, err = client.CI.PausedMediaWorkflow(ctx, id); err != nil {
		return err
	}
	wish.MediaWorkflow.Name = "go_2"
	if _, _, err = client.CI.UpdateMediaWorkflow(ctx, wish, id); err != nil {
		return err
	}
	found, _, err := client.CI.DescribeMediaWorkflow(ctx, &cos.DescribeMediaWorkflowOptions{Ids: id})
	if err != nil {
		return err
	}
	begun, _, err := client.CI.TriggerWorkflow(ctx, &cos.TriggerWorkflowOptions{WorkflowId: id, Object: "go/in/中 a.mp4"})
	if err != nil {
		return err
	}
	if _, _, err = client.CI.DescribeWorkflowExecution(ctx, begun.InstanceId); err != nil {
		return err
	}
	runs, _, err := client.CI.DescribeWorkflowExecutions(ctx, &cos.DescribeWorkflowExecutionsOptions{WorkflowId: id})
	if err != nil {
		return err
	}
	gone, _, err := client.CI.DeleteMediaWorkflow(ctx, id)
	return first(
		err,
		expect(len(found.MediaWorkflowList) == 1, "%d workflows were found", len(found.MediaWorkflowList)),
		expect(len(runs.WorkflowExecutionList) == 1, "%d runs are listed", len(runs.WorkflowExecutionList)),
		expect(gone.WorkflowId == id, "%q was deleted", gone.WorkflowId),
	)
}

func batches(ctx context.Context, client *cos.Client) error {
	made, _, err := client.CI.CreateInventoryTriggerJob(ctx, &cos.CreateInventoryTriggerJobOptions{
		Name:  "go",
		Type:  "Job",
		Input: &cos.InventoryTriggerJobInput{Prefix: "go/nothing/"},
		Operation: &cos.InventoryTriggerJobOperation{
			Tag:      tag,
			JobParam: &cos.InventoryTriggerJobOperationJobParam{SmartCover: cover()},
			Output:   output(),
		},
	})
	if err != nil {
		return err
	}
	id := made.JobsDetail.JobId
	if _, err = client.CI.CancelInventoryTriggerJob(ctx, id); err != nil {
		return err
	}
	over, _, err := client.CI.DescribeInventoryTriggerJob(ctx, id)
	if err != nil {
		return err
	}
	asked := &cos.DescribeInventoryTriggerJobsOptions{Type: "Job", Size: "1"}
	listed, _, err := client.CI.DescribeInventoryTriggerJobs(ctx, asked)
	return first(
		err,
		expect(over.JobsDetail.State == "Cancel", "State is %q", over.JobsDetail.State),
		expect(listed.JobsDetail != nil, "no batch is listed"),
	)
}

func refusals(port string) func(context.Context, *cos.Client) error {
	return func(ctx context.Context, _ *cos.Client) error {
		_, _, err := clientOf(port, "WRONG").CI.DescribeMediaJob(ctx, "j"+unknown)
		var refused *cos.ErrorResponse
		if !errors.As(err, &refused) {
			return fmt.Errorf("a wrong key gave %v", err)
		}
		return first(
			expect(refused.Code == "SignatureDoesNotMatch", "Code is %q", refused.Code),
			expect(refused.RequestID != "", "there is no RequestId"),
		)
	}
}

func main() {
	port := os.Args[1]
	client := clientOf(port, secretKey)
	flows := []flow{
		{"objects", objects},
		{"multipart", multipart},
		{"jobs", jobs},
		{"lists", lists},
		{"templates", templates},
		{"queues", queues},
		{"workflows", workflows},
		{"batches", batches},
		{"refusals", refusals(port)},
	}
	lines := json.NewEncoder(os.Stdout)
	for _, each := range flows {
		line := map[string]interface{}{"flow": each.name, "error": nil}
		if err := each.run(context.Background(), client); err != nil {
			line["error"] = err.Error()
		}
		if err := lines.Encode(line); err != nil {
			panic(err)
		}
	}
}
