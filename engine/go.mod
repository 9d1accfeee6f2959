module github.com/millrace-io/millrace/engine

go 1.26.0

require (
	github.com/puzpuzpuz/xsync/v3 v3.5.1
	golang.org/x/sync v0.24.0
	pgregory.net/rapid v1.3.0
)
