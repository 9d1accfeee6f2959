// SPDX-License-Identifier: Apache-2.0

// Package invariant halts the process when the engine finds itself in a state that cannot be. Going on
// would spread the damage into checkpoints; starting again from the last commit is cheap.
package invariant

import "fmt"

// Failf panics with a message that begins with "millrace: invariant broken". Cheap checks call it in
// production too; callers test their condition first, so that arguments are not boxed in vain.
func Failf(format string, args ...any) {
	panic(Broken(fmt.Sprintf("millrace: invariant broken: "+format, args...)))
}

// Broken is what Failf panics with. No one recovers from it: code that recovers from panics of user
// functions must let a Broken pass.
type Broken string

func (b Broken) Error() string { return string(b) }
