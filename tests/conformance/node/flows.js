// Calls of covers with the official Node SDK, unmodified: node flows.js SDK MODE PORT
// SDK is a name in package.json. One JSON line per flow goes to standard output: {"flow": …, "error": null or text}.
'use strict';

const assert = require('assert');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const [sdk, mode, port] = process.argv.slice(2);
const COS = require(sdk);

const BUCKET = 'test-1250000000';
const REGION = 'ap-chongqing';
const KEYS = { SecretId: 'AKIDTEST', SecretKey: 'SECRETTEST' };
const SERVER = `127.0.0.1:${port}`;
const UNKNOWN = '1'.repeat(32);
const HERE = `node-${sdk}-${mode}`.replace(/[^a-z0-9-]/g, '-');

const MODES = {
  proxy: { Proxy: `http://${SERVER}` },
  domain: { Domain: `${SERVER}/{Bucket}` },
  ip: { Ip: SERVER },
  token: { Domain: `${SERVER}/{Bucket}`, SecurityToken: 'TOKEN' },
};

function clientOf(more) {
  return new COS({ ...KEYS, Protocol: 'http:', ...MODES[mode], ...more });
}

const cos = clientOf({});
const object = (key) => ({ Bucket: BUCKET, Region: REGION, Key: key });

/** Where a CI call goes: in the cloud's own words, or with the bucket in the path. */
function urlOf(place) {
  const inPath = mode === 'domain' || mode === 'token';
  return inPath ? `http://${SERVER}/${BUCKET}/${place}` : `http://${BUCKET}.ci.${REGION}.myqcloud.com/${place}`;
}

/** Send a call of CI and give what stands below Response. */
async function call(method, place, { query, body } = {}, by = cos) {
  const request = { Bucket: BUCKET, Region: REGION, Method: method, Key: place, Url: urlOf(place) };
  if (query) request.Query = query;
  if (body) Object.assign(request, { Body: COS.util.json2xml({ Request: body }), ContentType: 'application/xml' });
  const answer = await by.request(request);
  assert.strictEqual(answer.statusCode, 200);
  assert.ok(answer.headers['x-cos-request-id'], 'the answer has no x-cos-request-id');
  return answer.Response;
}

/** Expect a refusal with this status and code. */
async function refused(promise, statusCode, code) {
  const error = await promise.then(
    () => assert.fail('the call was not refused'),
    (reason) => reason,
  );
  assert.strictEqual(error.statusCode, statusCode, `${error.code}: ${error.message}`);
  if (code) assert.strictEqual(error.code, code);
  return error;
}

const listOf = (value) => (value === undefined || value === '' ? [] : [].concat(value));
const cover = { Format: 'jpg', Width: '1280', Height: '960', Count: '3', DeleteDuplicates: 'true' };
const output = { Region: REGION, Bucket: BUCKET, Object: 'out/cover-${Number}.jpg' };

function job(key, operation = {}) {
  return { Tag: 'SmartCover', Input: { Object: key }, Operation: { SmartCover: cover, Output: output, ...operation } };
}

async function submit(key, operation) {
  return (await call('POST', 'jobs', { body: job(key, operation) })).JobsDetail;
}

function workflow(name, state) {
  return {
    MediaWorkflow: {
      Name: name,
      State: state,
      Topology: {
        Dependencies: { Start: 'SmartCover_1', SmartCover_1: 'End' },
        Nodes: {
          Start: { Type: 'Start', Input: { ObjectPrefix: `${HERE}/in/` } },
          SmartCover_1: { Type: 'SmartCover', Operation: { SmartCover: cover, Output: output } },
        },
      },
    },
  };
}

/** Fetch a URL with a plain client, which goes to the server whatever the URL's host is. */
function fetchPlainly(url) {
  const { host, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: pathname + search, headers: { Host: host } };
    http
      .get(options, (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('end', () => resolve({ status: answer.statusCode, body: Buffer.concat(parts).toString() }));
      })
      .on('error', reject);
  });
}

const FLOWS = {
  async objects() {
    const key = `${HERE}/dir/视频 a+b(1)'.txt`;
    const put = await cos.putObject({ ...object(key), Body: 'hello world', Headers: { 'x-cos-meta-note': 'n' } });
    assert.strictEqual(put.ETag, '"5eb63bbbe01eeed093cb22bb8f5acdc3"');
    const head = await cos.headObject(object(key));
    assert.strictEqual(head.headers['content-length'], '11');
    assert.strictEqual(head.headers['x-cos-meta-note'], 'n');
    const whole = await cos.getObject(object(key));
    assert.strictEqual(whole.Body.toString(), 'hello world');
    const part = await cos.getObject({ ...object(key), Range: 'bytes=6-10' });
    assert.strictEqual(part.statusCode, 206);
    assert.strictEqual(part.Body.toString(), 'world');
    await cos.putObject({ ...object(`${HERE}/dir/sub/x`), Body: 'x' });
    const listed = await cos.getBucket({ Bucket: BUCKET, Region: REGION, Prefix: `${HERE}/dir/`, Delimiter: '/' });
    assert.deepStrictEqual(
      listed.Contents.map((entry) => [entry.Key, entry.Size]),
      [[key, '11']],
    );
    assert.deepStrictEqual(
      listed.CommonPrefixes.map((entry) => entry.Prefix),
      [`${HERE}/dir/sub/`],
    );
    await cos.headBucket({ Bucket: BUCKET, Region: REGION });
    assert.strictEqual((await cos.deleteObject(object(key))).statusCode, 204);
    await refused(cos.headObject(object(key)), 404);
    await refused(cos.getObject(object(key)), 404, 'NoSuchKey');
  },

  async multipart() {
    const key = `${HERE}/large.bin`;
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'smartcover-node-')), 'large.bin');
    const content = Buffer.alloc(3 * 1024 * 1024 + 17, 'smartcover');
    fs.writeFileSync(file, content);
    const sent = await cos.sliceUploadFile({ ...object(key), FilePath: file, ChunkSize: 1024 * 1024 });
    assert.match(sent.ETag, /-4"$/);
    const back = await cos.getObject(object(key));
    assert.ok(content.equals(back.Body), 'what came back is not what was sent');
    const begun = await cos.multipartInit(object(key));
    const uploads = await cos.multipartList({ Bucket: BUCKET, Region: REGION, Prefix: key });
    assert.ok(listOf(uploads.Upload).some((upload) => upload.UploadId === begun.UploadId));
    const upload = { ...object(key), UploadId: begun.UploadId };
    await cos.multipartUpload({ ...upload, PartNumber: 1, Body: 'part' });
    const parts = await cos.multipartListPart(upload);
    assert.strictEqual(listOf(parts.Part).length, 1);
    await cos.multipartAbort(upload);
    await refused(cos.multipartListPart(upload), 404, 'NoSuchUpload');
    const deleted = await cos.deleteMultipleObject({ Bucket: BUCKET, Region: REGION, Objects: [{ Key: key }] });
    assert.strictEqual(listOf(deleted.Deleted).length, 1);
    fs.rmSync(path.dirname(file), { recursive: true });
  },

  async copies() {
    const [from, whole, sliced] = ['from 源+.bin', 'whole.bin', 'sliced.bin'].map((name) => `${HERE}/copies/${name}`);
    const content = Buffer.alloc(2 * 1024 * 1024 + 17, 'smartcover');
    await cos.putObject({ ...object(from), Body: content });
    const CopySource = `${BUCKET}.cos.${REGION}.myqcloud.com/${encodeURIComponent(from).replace(/%2F/g, '/')}`;
    assert.ok((await cos.putObjectCopy({ ...object(whole), CopySource })).ETag);
    const sizes = { CopySliceSize: 1024 * 1024, CopyChunkSize: 1024 * 1024 };
    const done = await cos.sliceCopyFile({ ...object(sliced), CopySource, ...sizes });
    assert.match(done.ETag, /-3"$/);
    for (const key of [whole, sliced]) {
      assert.ok(content.equals((await cos.getObject(object(key))).Body), `${key} is not what was copied`);
    }
  },

  async presign() {
    const key = `${HERE}/presigned a+b.txt`;
    await cos.putObject({ ...object(key), Body: 'hello' });
    // Ip mode changes where the SDK connects, never the URL that it signs.
    const url = cos.getObjectUrl({ ...object(key), Sign: true, Expires: 60, Protocol: 'http:' }, () => {});
    assert.deepStrictEqual(await fetchPlainly(url), { status: 200, body: 'hello' });
    const wrong = await fetchPlainly(url.replace(/(q-signature=)[0-9a-f]{4}/, '$10000'));
    assert.strictEqual(wrong.status, 403);
  },

  async jobs() {
    const first = await submit(`${HERE}/视频 a+b.mp4`, { UserData: 'order-77', JobLevel: '1' });
    assert.match(first.JobId, /^j[0-9a-f]{32}$/);
    assert.deepStrictEqual([first.State, first.Code, first.StartTime], ['Submitted', 'Success', '-']);
    assert.deepStrictEqual(first.Input, { BucketId: BUCKET, Object: `${HERE}/视频 a+b.mp4`, Region: REGION });
    assert.deepStrictEqual(first.Operation.SmartCover, cover);
    assert.strictEqual(first.Operation.UserData, 'order-77');
    const got = await call('GET', `jobs/${first.JobId}`);
    assert.deepStrictEqual(got.JobsDetail, first); // one job is an object, several are an array
    const { JobsDetail: pair } = await call('POST', 'jobs', {
      body: {
        Input: { Object: `${HERE}/b.mp4` },
        Operation: ['0', '1'].map((UserData) => ({ Tag: 'SmartCover', SmartCover: cover, Output: output, UserData })),
      },
    });
    assert.deepStrictEqual(pair.map((detail) => detail.Operation.UserData), ['0', '1']);
    const both = await call('GET', `jobs/${pair[0].JobId},${pair[1].JobId},j${UNKNOWN}`);
    assert.deepStrictEqual(both.JobsDetail.map((detail) => detail.JobId), pair.map((detail) => detail.JobId));
    assert.strictEqual(both.NonExistJobIds, `j${UNKNOWN}`);
    await call('PUT', `jobs/${first.JobId}`, { query: { cancel: '' } });
    assert.strictEqual((await call('GET', `jobs/${first.JobId}`)).JobsDetail.State, 'Cancel');
    await refused(call('PUT', `jobs/${first.JobId}`, { query: { cancel: '' } }), 400, 'InvalidArgument');
    await refused(call('PUT', `jobs/j${UNKNOWN}`, { query: { cancel: '' } }), 404, 'NoSuchJob');
  },

  async lists() {
    const key = `${HERE}/listed.mp4`;
    const ids = [];
    for (let number = 0; number < 3; number += 1) ids.push((await submit(key)).JobId);
    const query = {
      tag: 'SmartCover',
      inputObject: key,
      size: 2,
      startCreationTime: '2020-01-01T00:00:00+0800',
      states: 'All',
      nextToken: '',
    };
    const page = await call('GET', 'jobs', { query });
    assert.deepStrictEqual(page.JobsDetail.map((detail) => detail.JobId), [ids[2], ids[1]]);
    const rest = await call('GET', 'jobs', { query: { ...query, nextToken: page.NextToken } });
    assert.deepStrictEqual(listOf(rest.JobsDetail).map((detail) => detail.JobId), [ids[0]]);
    assert.ok(!rest.NextToken);
  },

  async templates() {
    const body = { Tag: 'SmartCover', Name: 'node_模板-1', SmartCover: cover };
    const { Template: made } = await call('POST', 'template', { body });
    assert.match(made.TemplateId, /^t[0-9a-f]{32}$/);
    assert.deepStrictEqual(made.SmartCover, cover);
    const detail = await submit(`${HERE}/a.mp4`, { SmartCover: undefined, TemplateId: made.TemplateId });
    assert.strictEqual(detail.Operation.TemplateName, 'node_模板-1');
    const changed = { ...body, Name: 'node-2', SmartCover: { Format: 'png' } };
    const { Template: now } = await call('PUT', `template/${made.TemplateId}`, { body: changed });
    assert.strictEqual(now.Name, 'node-2');
    const found = await call('GET', 'template', { query: { ids: `${made.TemplateId},t${UNKNOWN}` } });
    assert.strictEqual(found.TemplateList.TemplateId, made.TemplateId);
    assert.strictEqual(found.NonExistTIDs.TemplateId, `t${UNKNOWN}`);
    const gone = await call('DELETE', `template/${made.TemplateId}`);
    assert.strictEqual(gone.TemplateId, made.TemplateId);
    await refused(call('DELETE', `template/${made.TemplateId}`), 400, 'InvalidArgument');
  },

  async queues() {
    const { QueueList: queue } = await call('GET', 'queue', { query: { state: 'All' } });
    assert.match(queue.QueueId, /^p[0-9a-f]{32}$/);
    const body = { Name: 'queue-node', QueueID: queue.QueueId, State: 'Paused', NotifyConfig: { State: 'Off' } };
    const { Queue: paused } = await call('PUT', `queue/${queue.QueueId}`, { body });
    assert.deepStrictEqual([paused.Name, paused.State], ['queue-node', 'Paused']);
    const { JobId } = await submit(`${HERE}/a.mp4`);
    assert.strictEqual((await call('GET', `jobs/${JobId}`)).JobsDetail.State, 'Pause');
    await call('PUT', `queue/${queue.QueueId}`, { body: { ...body, Name: queue.Name, State: 'Active' } });
    assert.strictEqual((await call('GET', `jobs/${JobId}`)).JobsDetail.State, 'Submitted');
  },

  async bindings() {
    const bound = await call('POST', 'mediabucket');
    assert.strictEqual(bound.MediaBucket.BucketId, BUCKET);
    const listed = await call('GET', 'mediabucket', { query: { bucketNames: BUCKET } });
    assert.strictEqual(listed.MediaBucketList.BucketId, BUCKET);
    const unbound = await call('DELETE', 'mediabucket');
    assert.strictEqual(unbound.BucketName, BUCKET);
    await refused(submit(`${HERE}/a.mp4`), 403, 'AccessDenied');
    await call('POST', 'mediabucket');
    assert.strictEqual((await submit(`${HERE}/a.mp4`)).State, 'Submitted');
  },

  async workflows() {
    const { MediaWorkflow: made } = await call('POST', 'workflow', { body: workflow(`${HERE}-1`, 'Paused') });
    const place = `workflow/${made.WorkflowId}`;
    assert.match(made.WorkflowId, /^w[0-9a-f]{32}$/);
    await call('PUT', place, { query: { active: '' } });
    await refused(call('DELETE', place), 400);
    await cos.putObject({ ...object(`${HERE}/in/视频.mp4`), Body: 'video' }); // starts a run
    await call('PUT', place, { query: { paused: '' } });
    await call('PUT', place, { body: workflow(`${HERE}-2`, 'Paused') });
    const found = await call('GET', 'workflow', { query: { ids: made.WorkflowId } });
    assert.strictEqual(found.MediaWorkflowList.Name, `${HERE}-2`);
    const query = { workflowId: made.WorkflowId, object: `${HERE}/视频 a.mp4` };
    const { InstanceId } = await call('POST', 'triggerworkflow', { query });
    const run = (await call('GET', `workflowexecution/${InstanceId}`)).WorkflowExecution;
    assert.deepStrictEqual([run.RunId, run.Object, run.State], [InstanceId, `${HERE}/视频 a.mp4`, 'Running']);
    const runs = await call('GET', 'workflowexecution', { query: { workflowId: made.WorkflowId } });
    assert.ok(listOf(runs.WorkflowExecutionList).some((entry) => entry.RunId === InstanceId));
    assert.strictEqual((await call('DELETE', place)).WorkflowId, made.WorkflowId);
  },

  async batches() {
    const body = {
      Name: 'stock',
      Type: 'Job',
      Input: { Prefix: `${HERE}/nothing/` },
      Operation: { Tag: 'SmartCover', JobParam: { SmartCover: cover }, Output: output, TimeInterval: '' },
    };
    const { JobsDetail: batch } = await call('POST', 'inventorytriggerjob', { body });
    assert.match(batch.JobId, /^b[0-9a-f]{32}$/);
    const place = `inventorytriggerjob/${batch.JobId}`;
    assert.strictEqual((await call('GET', place)).JobsDetail.Name, 'stock');
    const listed = await call('GET', 'inventorytriggerjob', { query: { type: 'Job', size: 10 } });
    assert.ok(listOf(listed.JobsDetail).some((detail) => detail.JobId === batch.JobId));
    await call('PUT', place, { query: { cancel: '' } });
    assert.strictEqual((await call('GET', place)).JobsDetail.State, 'Cancel');
  },

  async errors() {
    const error = await refused(submit(`${HERE}/a.mp4`, { SmartCover: { Count: '11' } }), 400, 'InvalidArgument');
    assert.match(error.message, /Count/);
    assert.ok(error.headers['x-cos-request-id'], 'the refusal has no x-cos-request-id');
    const stranger = clientOf({ SecretKey: 'WRONG' });
    await refused(call('GET', `jobs/j${UNKNOWN}`, {}, stranger), 403, 'SignatureDoesNotMatch');
    await refused(call('GET', `jobs/j${UNKNOWN}`, {}, clientOf({ SecretId: 'WRONG' })), 403, 'InvalidAccessKeyId');
  },
};

(async () => {
  for (const [flow, run] of Object.entries(FLOWS)) {
    const error = await run().then(
      () => null,
      (reason) => `${reason.stack} ${JSON.stringify(reason)}`.slice(0, 4000),
    );
    process.stdout.write(`${JSON.stringify({ flow, error })}\n`);
  }
  process.exit(0);
})();
