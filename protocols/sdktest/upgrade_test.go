// SPDX-License-Identifier: Apache-2.0

package sdktest

import "testing"

// The functions are replaced while messages flow, by versions that have one state more and one less: nothing
// is lost, and what a version does not declare is kept for the next one that does.
func TestRollingUpgrade(t *testing.T) {
	addresses, messages := 100, 200 // For each version.
	if short() {
		messages = 20
	}
	versions := []string{plain, one, two, plain, two, one}
	s := startServer(t, "tcp", versions[0])
	r := start(t, at(t, "test/*", s.url(), impatient()))
	for k := range versions {
		sent := r.countOn(addresses, k*messages+1, (k+1)*messages)
		r.until("progress", func() bool { return r.in("counter") > int64(addresses*messages*(2*k+1)/2) })
		if k+1 < len(versions) {
			s.replace(versions[k+1])
		}
		r.completed(addresses, (k+1)*messages, sent)
	}
	all := addresses * messages * len(versions)
	r.counted(addresses, messages*len(versions))

	// Each version has had its share of the messages, and remembers it.
	had := r.shares(s, addresses)
	least := addresses * messages // Half of what was sent to it, twice.
	if had[one] < least || had[two] < least || had[one]+had[two] > all-least {
		t.Errorf("of %d messages, version one has had %d and version two %d", all, had[one], had[two])
	}
}

// Two versions are behind one endpoint and answer in turn, each with a state that the other does not know.
func TestTwoVersionsAtOnce(t *testing.T) {
	addresses, messages := 100, 200
	s := startServer(t, "tcp", alternate)
	r := start(t, at(t, "test/*", s.url(), impatient()))
	r.completed(addresses, messages, r.count(addresses, messages))
	r.counted(addresses, messages)
	had := r.shares(s, addresses)
	if had[one] == 0 || had[two] == 0 || had[one]+had[two] != addresses*messages {
		t.Errorf("of %d messages, version one has had %d and version two %d", addresses*messages, had[one], had[two])
	}
}

// shares returns how many messages each version has counted in the state of its own.
func (r *rig) shares(s *server, addresses int) map[string]int {
	r.t.Helper()
	had := map[string]int{}
	for _, version := range []string{one, two} {
		s.replace(version)
		for a := range addresses {
			got, err := r.read(id(a))
			if err != nil {
				r.t.Fatal(err)
			}
			had[version] += int(got.Versions[version])
		}
	}
	return had
}
