package chaos

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"wadm/shard"
)

// attempt is one try to write a claim, as it was seen on the wire.
type attempt struct {
	key    shard.Key
	owner  shard.MemberID
	life   shard.Incarnation
	expect uint64
	body   string
	// call and answered are times since the begin; answered is 0 without an answer.
	call, answered time.Duration
	seq            uint64 // stored at; 0: not that we know
	refused        bool   // the condition did not hold
	failed         bool   // not stored, for another reason
}

// claimOp is what a client asked of the claim register, claimOut what it was told.
type claimOp struct {
	key    shard.Key
	expect uint64
	read   bool // what is there, instead of a claim
}

type claimOut struct {
	seq     uint64
	refused bool
}

// claimRegister is a register that is written by naming the value it replaces.
var claimRegister = porcupine.Model{
	Partition: func(h []porcupine.Operation) [][]porcupine.Operation {
		by := map[shard.Key][]porcupine.Operation{}
		for _, o := range h {
			k := o.Input.(claimOp).key
			by[k] = append(by[k], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return uint64(0) },
	Step: func(state, in, out any) (bool, any) {
		last, op, o := state.(uint64), in.(claimOp), out.(claimOut)
		if op.read {
			return o.seq == last, last
		}
		if o.refused {
			return op.expect != last, last
		}
		return op.expect == last && o.seq > last, o.seq
	},
	Equal: func(a, b any) bool { return a == b },
}

// linearizable checks the claims: what was answered, what is stored although
// nobody was told or the answer was not seen, and what is there at the end: the
// newest claim of each key, when heads is not nil. Without it, a claim that was
// acknowledged and then lost would be missed by nobody who comes later.
func linearizable(attempts []attempt, stored []Claim, heads map[shard.Key]uint64, until time.Duration) error {
	known := map[uint64]bool{}
	for _, a := range attempts {
		known[a.seq] = true
	}
	// An unanswered try that is stored is found by what it wrote.
	type written struct {
		key    shard.Key
		expect uint64
		body   string
	}
	open := map[written][]uint64{}
	for _, c := range stored {
		if !known[c.Seq] {
			w := written{c.Key, c.Expect, c.Body}
			open[w] = append(open[w], c.Seq)
		}
	}
	var ops []porcupine.Operation
	clients := map[shard.MemberID]int{}
	add := func(owner shard.MemberID, call, ret time.Duration, in claimOp, out claimOut) {
		if _, ok := clients[owner]; !ok {
			clients[owner] = len(clients)
		}
		ops = append(ops, porcupine.Operation{ClientId: clients[owner], Input: in, Call: int64(call), Output: out, Return: int64(ret)})
	}
	for _, a := range attempts {
		in := claimOp{key: a.key, expect: a.expect}
		switch {
		case a.seq > 0:
			add(a.owner, a.call, a.answered, in, claimOut{seq: a.seq})
		case a.refused:
			add(a.owner, a.call, a.answered, in, claimOut{refused: true})
		case a.failed:
		default:
			w := written{a.key, a.expect, a.body}
			if seqs := open[w]; len(seqs) > 0 {
				open[w] = seqs[1:]
				known[seqs[0]] = true
				add(a.owner, a.call, until, in, claimOut{seq: seqs[0]})
			}
		}
	}
	for _, c := range stored {
		if !known[c.Seq] {
			add(c.Record.Owner, 0, until, claimOp{key: c.Key, expect: c.Expect}, claimOut{seq: c.Seq})
		}
	}
	for _, c := range missed(attempts, stored) {
		add("missed", 0, until, claimOp{key: c.Key, expect: c.Expect}, claimOut{seq: c.Seq})
	}
	for k, seq := range heads {
		add("end", until+1, until+2, claimOp{key: k, read: true}, claimOut{seq: seq})
	}
	switch r := porcupine.CheckOperationsTimeout(claimRegister, ops, 30*time.Second); r {
	case porcupine.Ok:
		return nil
	default:
		return fmt.Errorf("the history of %d claims is %s", len(ops), r)
	}
}

// missed bridges what nobody saw: a claim that was replaced before it was read.
func missed(attempts []attempt, stored []Claim) []Claim {
	seqs := map[shard.Key][]uint64{}
	for _, a := range attempts {
		if a.seq > 0 {
			seqs[a.key] = append(seqs[a.key], a.seq)
		}
	}
	for _, c := range stored {
		seqs[c.Key] = append(seqs[c.Key], c.Seq)
	}
	var out []Claim
	for _, c := range stored {
		if c.Expect == 0 || slices.Contains(seqs[c.Key], c.Expect) {
			continue
		}
		before := uint64(0)
		for _, s := range seqs[c.Key] {
			if s < c.Expect {
				before = max(before, s)
			}
		}
		seqs[c.Key] = append(seqs[c.Key], c.Expect)
		out = append(out, Claim{Key: c.Key, Expect: before, Seq: c.Expect})
	}
	return out
}
