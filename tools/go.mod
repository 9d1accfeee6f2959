module github.com/millrace-io/millrace/tools

go 1.26.0

require (
	github.com/millrace-io/millrace/backends/memory v0.0.0
	github.com/millrace-io/millrace/connectors/http v0.0.0
	github.com/millrace-io/millrace/connectors/prometheus v0.0.0
	github.com/millrace-io/millrace/engine v0.0.0
	github.com/millrace-io/millrace/protocols v0.0.0
	github.com/prometheus/client_golang v1.25.0
	github.com/spf13/cobra v1.10.2
	github.com/spf13/pflag v1.0.9
	go.yaml.in/yaml/v4 v4.0.0
	golang.org/x/mod v0.41.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/compress v1.20.1 // indirect
	github.com/molecule-man/go-brrr v1.0.1 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/puzpuzpuz/xsync/v3 v3.5.1 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fasthttp v1.74.0 // indirect
	github.com/youmark/pkcs8 v0.0.0-20240726163527-a2c0da244d78 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/millrace-io/millrace/engine => ../engine

replace github.com/millrace-io/millrace/backends/memory => ../backends/memory

replace github.com/millrace-io/millrace/connectors/http => ../connectors/http

replace github.com/millrace-io/millrace/connectors/prometheus => ../connectors/prometheus

replace github.com/millrace-io/millrace/protocols => ../protocols
