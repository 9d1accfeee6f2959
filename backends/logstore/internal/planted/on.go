// SPDX-License-Identifier: Apache-2.0

//go:build bugbank

package planted

import "os"

// The bugs.
var (
	SyncSkipped        bool
	SyncRetried        bool
	DamageIsTheEnd     bool
	WitnessIgnored     bool
	NotSettled         bool
	GenerationNotTaken bool
	NotLooked          bool
)

var byName = map[string]*bool{
	"commit-before-fsync":           &SyncSkipped,
	"fsync-retried":                 &SyncRetried,
	"damage-read-as-end":            &DamageIsTheEnd,
	"witness-ignored":               &WitnessIgnored,
	"last-record-not-settled":       &NotSettled,
	"generation-not-taken":          &GenerationNotTaken,
	"removed-directory-not-noticed": &NotLooked,
}

func init() {
	if bug := byName[os.Getenv("MILLRACE_BUG")]; bug != nil {
		*bug = true
	}
}
