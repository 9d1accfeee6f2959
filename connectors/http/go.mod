module github.com/millrace-io/millrace/connectors/http

go 1.26.0

require (
	github.com/millrace-io/millrace/engine v0.0.0
	github.com/valyala/fasthttp v1.74.0
)

require (
	github.com/klauspost/compress v1.20.0 // indirect
	github.com/molecule-man/go-brrr v1.0.1 // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
)

replace github.com/millrace-io/millrace/engine => ../../engine
