// SPDX-License-Identifier: Apache-2.0

// Package command is the millrace command: run, validate, send, state, checkpoint, suspended, resume and version.
//
// It knows the kinds of components that it is given and no other. A program with kinds of its own is a main
// function of three lines, with all of these commands:
//
//	root := command.New(append(requestreply.Kinds(), mine.Kinds()...)...)
//	os.Exit(command.Execute(root))
package command
