module github.com/millrace-io/millrace/protocols/sdktest

go 1.26.0

require (
	github.com/apache/flink-statefun/statefun-sdk-go/v3 v3.3.0
	github.com/millrace-io/millrace/engine v0.0.0
	github.com/millrace-io/millrace/protocols v0.0.0
	golang.org/x/sync v0.24.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/molecule-man/go-brrr v1.0.1 // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fasthttp v1.74.0 // indirect
	github.com/youmark/pkcs8 v0.0.0-20240726163527-a2c0da244d78 // indirect
	golang.org/x/crypto v0.58.0 // indirect
)

replace (
	github.com/millrace-io/millrace/engine => ../../engine
	github.com/millrace-io/millrace/protocols => ..
)
