// SPDX-License-Identifier: Apache-2.0

//go:build !crashpoints

package main

import "github.com/millrace-io/millrace/engine/backend"

// watched returns the store. The build for the crash tests has another one of it.
func watched(store backend.Backend) backend.Backend { return store }
