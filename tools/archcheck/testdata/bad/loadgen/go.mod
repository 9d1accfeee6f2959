module github.com/millrace-io/millrace/loadgen // want "go.work does not use ./loadgen"

go 1.26.0
