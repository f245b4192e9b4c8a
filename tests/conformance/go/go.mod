module smartcover.example/conformance

go 1.18

require github.com/tencentyun/cos-go-sdk-v5 v0.7.75
