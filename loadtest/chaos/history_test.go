package chaos

import (
	"testing"
	"time"

	"wadm/shard"
)

// A try is one line of a made-up history: who claims at which second, on what
// condition, and what came of it.
func try(owner shard.MemberID, second int, expect uint64, outcome func(*attempt)) attempt {
	a := attempt{key: "t.l", owner: owner, expect: expect, body: string(owner), call: time.Duration(second) * time.Second}
	a.answered = a.call + time.Second/2
	outcome(&a)
	return a
}

func madeAt(seq uint64) func(*attempt) { return func(a *attempt) { a.seq = seq } }

func refused(a *attempt)    { a.refused = true }
func failed(a *attempt)     { a.failed = true }
func unanswered(a *attempt) { a.answered = 0 }

// kept is a claim as the ledger shows it.
func kept(owner shard.MemberID, seq, expect uint64) Claim {
	return Claim{Key: "t.l", Seq: seq, Expect: expect, Conditional: true, Body: string(owner), Record: shard.Record{Owner: owner}}
}

func TestHistoriesOfClaimsAreTold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tries  []attempt
		stored []Claim
		head   uint64
		broken bool
	}{
		"nothing": {},
		"one after the other": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("b", 2, 3, madeAt(7)), try("a", 3, 3, refused)},
			stored: []Claim{kept("a", 3, 0), kept("b", 7, 3)}, head: 7,
		},
		"two on one condition": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("b", 2, 3, madeAt(7)), try("a", 3, 3, madeAt(9))},
			stored: []Claim{kept("a", 3, 0), kept("b", 7, 3), kept("a", 9, 3)}, head: 9, broken: true,
		},
		"refused although the condition held": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("b", 2, 3, refused)},
			stored: []Claim{kept("a", 3, 0)}, head: 3, broken: true,
		},
		"sequences fall": {
			tries:  []attempt{try("a", 1, 0, madeAt(7)), try("b", 2, 7, madeAt(3))},
			stored: []Claim{kept("a", 7, 0)}, head: 3, broken: true,
		},
		"not answered and not stored": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("b", 2, 3, unanswered), try("a", 3, 3, madeAt(5))},
			stored: []Claim{kept("a", 3, 0), kept("a", 5, 3)}, head: 5,
		},
		"not answered and stored": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("b", 2, 3, unanswered), try("a", 3, 3, refused)},
			stored: []Claim{kept("a", 3, 0), kept("b", 5, 3)}, head: 5,
		},
		"stored, and seen by nobody on its way": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("a", 3, 3, refused)},
			stored: []Claim{kept("a", 3, 0), kept("b", 5, 3)}, head: 5,
		},
		"replaced before it was read": {
			tries:  []attempt{try("a", 1, 0, madeAt(3))},
			stored: []Claim{kept("a", 3, 0), kept("b", 9, 6)}, head: 9,
		},
		"failed for another reason": {
			tries:  []attempt{try("a", 1, 0, failed), try("a", 2, 0, madeAt(3))},
			stored: []Claim{kept("a", 3, 0)}, head: 3,
		},
		"acknowledged and lost, and the next one succeeds its predecessor": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("b", 2, 3, madeAt(7)), try("a", 3, 3, madeAt(8))},
			stored: []Claim{kept("a", 3, 0), kept("a", 8, 3)}, head: 8, broken: true,
		},
		"acknowledged and lost, and nobody came after": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("b", 2, 3, madeAt(7))},
			stored: []Claim{kept("a", 3, 0)}, head: 3, broken: true,
		},
		"acknowledged, and in the end there is nothing": {
			tries: []attempt{try("a", 1, 0, madeAt(3))}, broken: true,
		},
		"what was not answered is there in the end": {
			tries:  []attempt{try("a", 1, 0, madeAt(3)), try("b", 2, 3, unanswered)},
			stored: []Claim{kept("a", 3, 0), kept("b", 7, 3)}, head: 7,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := linearizable(tc.tries, tc.stored, map[shard.Key]uint64{"t.l": tc.head}, time.Minute)
			if tc.broken != (err != nil) {
				t.Errorf("found %v, want broken: %t", err, tc.broken)
			}
		})
	}
}

// Keys have nothing to do with each other, and a lost claim of one is found beside
// a sound other.
func TestHistoriesOfKeysAreToldApart(t *testing.T) {
	t.Parallel()
	a, b := try("a", 1, 0, madeAt(3)), try("a", 1, 0, madeAt(4))
	b.key = "t.m"
	heads := map[shard.Key]uint64{"t.l": 3, "t.m": 4}
	if err := linearizable([]attempt{a, b}, nil, heads, time.Minute); err != nil {
		t.Error(err)
	}
	heads["t.m"] = 0
	if err := linearizable([]attempt{a, b}, nil, heads, time.Minute); err == nil {
		t.Error("a claim that vanished was not found")
	}
}
