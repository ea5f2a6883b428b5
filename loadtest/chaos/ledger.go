package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/scheduler/lattice"
	"wadm/shard"
	"wadm/shard/natskv"
)

// Claim is one record of a claim as the ledger keeps it.
type Claim struct {
	Key shard.Key
	Seq uint64
	// Expect is the condition it was written under; Conditional is false when
	// there was none.
	Expect      uint64
	Conditional bool
	Record      shard.Record
	// Body is what was stored; At is when the checker saw it.
	Body string
	At   time.Time
}

// Write is one command message or one state of an owner.
type Write struct {
	Key shard.Key
	Seq uint64
	// Fence is the epoch the write was conditional on, 0 when it was not; Epoch is
	// the one in its message id.
	Fence, Epoch uint64
	// Commands of the message, none for a state.
	Commands []lattice.Command
}

// Ledger reads the ledger in stream order and checks I1 as it goes. A claim
// replaces its predecessor, so a reader that was cut off may miss some; what it
// sees must still fit. Its methods may be called from any goroutine.
type Ledger struct {
	mu      sync.Mutex
	last    uint64
	claims  []Claim
	heads   map[shard.Key]Claim
	held    map[epochKey]Claim
	intents map[epochKey]map[ask]int
	writes  int
	bad     []string
}

// epochKey names one ownership of one key.
type epochKey struct {
	key   shard.Key
	epoch uint64
}

// NewLedger has read nothing.
func NewLedger() *Ledger {
	return &Ledger{heads: map[shard.Key]Claim{}, held: map[epochKey]Claim{}, intents: map[epochKey]map[ask]int{}}
}

// Claim takes a claim's record.
func (l *Ledger) Claim(c Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.advance(c.Seq) {
		return
	}
	prev, known := l.heads[c.Key]
	switch {
	case !c.Conditional:
		l.fail("%s: claim %d of %s was written without a condition", c.Key, c.Seq, c.Record.Owner)
	case known && c.Expect < prev.Seq:
		l.fail("%s: claim %d of %s succeeds %d, but %d came between", c.Key, c.Seq, c.Record.Owner, c.Expect, prev.Seq)
	}
	// With nothing missed in between, the reason has to fit what was there.
	if known && (!c.Conditional || c.Expect == prev.Seq) && prev.Record.Incarnation != c.Record.Incarnation && prev.Record.State == shard.Held {
		switch {
		case c.Record.State == shard.Released:
			l.fail("%s: %s released at %d what %s holds since %d", c.Key, c.Record.Owner, c.Seq, prev.Record.Owner, prev.Seq)
		case c.Record.Reason == "free":
			l.fail("%s: %s took at %d as free what %s holds since %d", c.Key, c.Record.Owner, c.Seq, prev.Record.Owner, prev.Seq)
		}
	}
	l.heads[c.Key] = c
	if c.Record.State == shard.Held {
		l.held[epochKey{c.Key, c.Seq}] = c
	}
	l.claims = append(l.claims, c)
}

// Write takes a command message or a state.
func (l *Ledger) Write(w Write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.advance(w.Seq) {
		return
	}
	l.writes++
	head, known := l.heads[w.Key]
	switch {
	case w.Fence == 0:
		l.fail("%s: write %d of epoch %d is not fenced", w.Key, w.Seq, w.Epoch)
	case w.Fence != w.Epoch:
		l.fail("%s: write %d of epoch %d is fenced by %d", w.Key, w.Seq, w.Epoch, w.Fence)
	}
	switch {
	case !known:
	case w.Epoch < head.Seq:
		l.fail("%s: write %d of epoch %d came after claim %d of %s", w.Key, w.Seq, w.Epoch, head.Seq, head.Record.Owner)
	case w.Epoch == head.Seq && head.Record.State != shard.Held:
		l.fail("%s: write %d under release %d of %s", w.Key, w.Seq, head.Seq, head.Record.Owner)
	}
	if len(w.Commands) == 0 {
		return
	}
	k := epochKey{w.Key, w.Epoch}
	if l.intents[k] == nil {
		l.intents[k] = map[ask]int{}
	}
	for _, c := range w.Commands {
		a := askOf(c)
		l.intents[k][a] += a.times()
	}
}

func (l *Ledger) advance(seq uint64) bool {
	if seq <= l.last {
		return false // read again after the subscription was lost
	}
	l.last = seq
	return true
}

func (l *Ledger) fail(format string, args ...any) {
	l.bad = append(l.bad, "I1: "+fmt.Sprintf(format, args...))
}

// Violations found so far.
func (l *Ledger) Violations() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.bad...)
}

// Claims seen so far, in stream order.
func (l *Ledger) Claims() []Claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Claim(nil), l.claims...)
}

// Head is the newest claim of a key.
func (l *Ledger) Head(k shard.Key) (Claim, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.heads[k]
	return c, ok
}

// Held finds the claim an effect was made under.
func (l *Ledger) Held(k shard.Key, epoch uint64) (Claim, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.held[epochKey{k, epoch}]
	return c, ok
}

// intended is a copy of how often hosts may be asked for what, by what was stored
// in an epoch.
func (l *Ledger) intended(k shard.Key, epoch uint64) map[ask]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := map[ask]int{}
	maps.Copy(left, l.intents[epochKey{k, epoch}])
	return left
}

// follow reads the ledger until ctx ends, through every loss of the subscription.
func (l *Ledger) follow(ctx context.Context, js jetstream.JetStream) {
	followStream(ctx, js, natskv.DefaultLedger, nil, func(m jetstream.Msg, seq uint64) {
		l.read(m.Subject(), m.Headers().Get, m.Data(), seq)
	})
}

func (l *Ledger) read(subject string, header func(string) string, data []byte, seq uint64) {
	expect, err := strconv.ParseUint(header(jetstream.ExpectedLastSubjSeqHeader), 10, 64)
	conditional := err == nil
	if k, ok := strings.CutPrefix(subject, natskv.ClaimSubject+"."); ok {
		c := Claim{Key: shard.Key(k), Seq: seq, Expect: expect, Conditional: conditional, Body: string(data), At: time.Now()}
		if c.Record, err = shard.DecodeRecord(data); err != nil {
			l.mu.Lock()
			l.fail("%s: claim %d is unreadable: %v", k, seq, err)
			l.mu.Unlock()
			return
		}
		l.Claim(c)
		return
	}
	w := Write{Seq: seq}
	rest, isCommand := strings.CutPrefix(subject, natskv.CommandSubject+".")
	if !isCommand {
		rest = strings.TrimPrefix(subject, natskv.StateSubject+".")
	}
	w.Key = shard.Key(rest)
	if header(jetstream.ExpectedLastSubjSeqSubjHeader) == natskv.ClaimSubject+"."+rest {
		w.Fence = expect
	}
	w.Epoch = epochOf(header(jetstream.MsgIDHeader))
	if isCommand {
		w.Commands = commandsIn(data)
	}
	l.Write(w)
}

// epochOf reads the epoch in a message id: key/epoch/number.
func epochOf(id string) uint64 {
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		return 0
	}
	e, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return 0
	}
	return e
}

// commandsIn reads a message of commands; a note of outcomes has none.
func commandsIn(data []byte) []lattice.Command {
	var cmds []lattice.Command
	if json.Unmarshal(data, &cmds) != nil {
		return nil
	}
	return cmds
}

// heartbeat is how often a stream's reader wants to hear something; after two
// without, it begins anew where it was.
const heartbeat = time.Second

// followStream calls seen with every message of a stream from its begin on, in
// order, until ctx ends. After a loss it goes on where it was.
func followStream(ctx context.Context, js jetstream.JetStream, stream string, subjects []string, seen func(m jetstream.Msg, seq uint64)) {
	last := uint64(0)
	for ctx.Err() == nil {
		err := func() error {
			cons, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
				FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1,
				MaxResetAttempts: 1, // inside Next the client would try for ever, whatever ctx says
			})
			if err != nil {
				return err
			}
			// A reader whose consumer went down with its server learns it by the silence.
			msgs, err := cons.Messages(jetstream.PullHeartbeat(heartbeat))
			if err != nil {
				return err
			}
			defer msgs.Stop()
			for {
				m, err := msgs.Next(jetstream.NextContext(ctx))
				if err != nil {
					return err
				}
				meta, err := m.Metadata()
				if err != nil {
					return err
				}
				if meta.Sequence.Stream > last {
					last = meta.Sequence.Stream
					seen(m, last)
				}
			}
		}()
		if err != nil && !sleep(ctx, 50*time.Millisecond) {
			return
		}
	}
}
