module github.com/millrace-io/millrace/backends/file

go 1.26.0

require (
	github.com/millrace-io/millrace/backends/logstore v0.0.0
	github.com/millrace-io/millrace/engine v0.0.0
)

require pgregory.net/rapid v1.3.0 // indirect

replace (
	github.com/millrace-io/millrace/backends/logstore => ../logstore
	github.com/millrace-io/millrace/engine => ../../engine
)
