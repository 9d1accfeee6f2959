// SPDX-License-Identifier: Apache-2.0

// Package protocol is what protobuf's own generator makes of protocol.proto, for tests: the codec of
// package requestreply is written by hand, and must agree with it byte for byte.
//
// To generate it again, with any protoc and protoc-gen-go v1.36.12 on the path:
//
//	go generate ./internal/protocol
package protocol

//go:generate protoc -I ../../.. --go_out=../../.. --go_opt=paths=source_relative protocols/internal/protocol/protocol.proto
