// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"  // want "may not import context"
	. "fmt"    // want "may not import with a dot"
	"log/slog" // want "may not import log/slog"
	"maps"     // want "may not import maps"
	"net/url"  // want "may not import net/url"
	"os"       // want "may not import os"
	"runtime"  // want "may not import runtime"
	"sync"     // want "may not import sync:"
	"time"     // want "may not import time: time is an argument"
)

var _ = []any{
	context.Background, Sprint, slog.Info, maps.Keys[map[int]int], url.Parse, os.Exit, runtime.GC,
	sync.NewCond, time.Now,
}
