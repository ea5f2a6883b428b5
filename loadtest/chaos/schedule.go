package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds.
const (
	// Kill ends an instance without a word; it is started again after For.
	Kill Kind = "kill"
	// Stop halts an instance's process for a while.
	Stop Kind = "stop"
	// StopMidway does so when the instance has just stored a command, perhaps
	// between its last check and the socket, and gives who succeeds it something to
	// do at once. A seed draws it for at most [MostMidway]: what may come of more is
	// beyond what is promised.
	StopMidway Kind = "stop-midway"
	// Drain stops an instance in order; it is started again after For.
	Drain Kind = "drain"
	// Burst starts N new instances at once, which drain at once after For.
	Burst Kind = "burst"
	// Odd starts a new instance whose ring has other parameters, which leaves after
	// For. It is drawn only when there is a program for it.
	Odd Kind = "another-ring"
	// Cut closes an instance's connections and refuses new ones. It and those that
	// follow hit both connections of the instance or one of them.
	Cut Kind = "cut"
	// Hold keeps back what an instance sends and receives, and delivers it then.
	Hold Kind = "hold"
	// Delay makes everything an instance sends and receives late.
	Delay Kind = "delay"
	// Deaf loses what an instance should receive, Mute what it sends; HalfOpen both,
	// with its connections open.
	Deaf     Kind = "deaf"
	Mute     Kind = "mute"
	HalfOpen Kind = "half-open"
	// NATSKill ends a NATS server: the one that Target counts to, from 1 on, or with
	// 0 the one that leads the ledger. It comes back after For.
	NATSKill Kind = "nats-kill"
	// NATSRestart stops it in order, NATSStop halts its process.
	NATSRestart Kind = "nats-restart"
	NATSStop    Kind = "nats-stop"
	// NATSAll ends all NATS servers at once.
	NATSAll Kind = "nats-all"
	// Busy makes the hosts of some lattices say and do nothing for a while.
	Busy Kind = "busy-hosts"
	// Backlog sends N events to one lattice at once.
	Backlog Kind = "backlog"
	// Churn deploys or undeploys in N lattices.
	Churn Kind = "churn"
)

// MostHold is how long a proxy keeps bytes back and still delivers them. It lies
// within what the quarantine allows for the way from the last check to the host.
const MostHold = time.Second

// MostMidway is how long an instance may stand still between its last check and the
// socket: others act 2.3 s after they last heard it at the earliest, and until it
// stopped it was to be heard every 0.3 s at least. They have claimed by then.
const MostMidway = 1800 * time.Millisecond

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{Kill, Stop, StopMidway, Drain, Burst, Odd, Cut, Hold, Delay, Deaf, Mute, HalfOpen, NATSKill, NATSRestart, NATSStop, NATSAll, Busy, Backlog, Churn}
}

func known(k Kind) bool { return slices.Contains(Kinds(), k) }

// OfNATS tells the faults that only NATS suffers from.
func (k Kind) OfNATS() bool {
	return k == NATSKill || k == NATSRestart || k == NATSStop || k == NATSAll
}

// ofHosts tells the faults that only some lattices suffer from.
func (k Kind) ofHosts() bool { return k == Busy || k == Backlog || k == Churn }

// ofLinks tells the faults that a proxy inflicts.
func (k Kind) ofLinks() bool {
	switch k {
	case Cut, Hold, Delay, Deaf, Mute, HalfOpen:
		return true
	default:
		return false
	}
}

// Fault is one thing that goes wrong.
type Fault struct {
	// At is reckoned from the begin of the faults.
	At   time.Duration
	Kind Kind
	// Target is the number of an instance, a NATS server or a lattice; not used by
	// some kinds.
	Target int
	For    time.Duration
	N      int
	// Of says which connections a fault of links hits.
	Of Connection
}

func (f Fault) String() string {
	s := fmt.Sprintf("%6.2fs %-12s", f.At.Seconds(), f.Kind)
	switch f.Kind {
	case Burst, Odd, NATSAll, Churn:
	case NATSKill, NATSRestart, NATSStop:
		if f.Target > 0 {
			s += fmt.Sprintf(" server %d", f.Target)
		}
	default:
		s += fmt.Sprintf(" #%d", f.Target)
	}
	switch f.Of {
	case MainOnly:
		s += " but for commands"
	case CommandsOnly:
		s += " commands only"
	}
	if f.For > 0 {
		s += fmt.Sprintf(" for %v", f.For)
	}
	if f.N > 0 {
		s += fmt.Sprintf(" n=%d", f.N)
	}
	return s
}

// Schedule is what goes wrong, in order of time.
type Schedule []Fault

func (s Schedule) String() string {
	var b strings.Builder
	for _, f := range s {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// NewSchedule draws the schedule of a seed. It is the same for the same
// configuration, whatever happens in the run.
func NewSchedule(c Config) Schedule {
	c = c.WithDefaults()
	r := rand.New(rand.NewPCG(c.Seed, 0x6368616f73))
	between := func(a, b time.Duration) time.Duration {
		b = max(a, min(b, c.Longest))
		return (a + time.Duration(r.Int64N(int64(b-a)+1))).Round(10 * time.Millisecond)
	}
	var s Schedule
	for at := c.Pause / 4; at < c.Duration; at += time.Duration(r.ExpFloat64() * float64(c.Pause)).Round(10 * time.Millisecond) {
		f := Fault{At: at, Kind: c.Kinds[r.IntN(len(c.Kinds))], Target: r.IntN(c.Instances)}
		if f.Kind.ofLinks() {
			f.Of = Connection(r.IntN(3))
		}
		if f.Kind.OfNATS() && c.Servers > 1 {
			f.Target = r.IntN(c.Servers + 1)
		} else if f.Kind.OfNATS() {
			f.Target = 0
		}
		switch f.Kind {
		case Kill, Drain:
			f.For = between(200*time.Millisecond, 5*time.Second)
		case Stop:
			f.For = between(300*time.Millisecond, 10*time.Second)
		case StopMidway:
			f.For = between(MostHold, MostMidway)
		case Burst:
			f.N, f.For = 1+r.IntN(2), between(time.Second, 10*time.Second)
		case Odd:
			f.For = between(3*time.Second, 10*time.Second)
		case Cut, HalfOpen, Deaf, Mute:
			f.For = between(300*time.Millisecond, 6*time.Second)
		case Hold:
			f.For = between(50*time.Millisecond, MostHold)
		case Delay:
			f.N, f.For = 5+r.IntN(45), between(time.Second, 4*time.Second)
		case NATSKill, NATSRestart, NATSAll:
			f.For = between(100*time.Millisecond, 2*time.Second)
		case NATSStop:
			f.For = between(300*time.Millisecond, 3*time.Second)
		case Busy:
			f.Target, f.N, f.For = r.IntN(c.Lattices), 1+r.IntN(3), between(time.Second, 4*time.Second)
		case Backlog:
			f.Target, f.N = r.IntN(c.Lattices), 500+r.IntN(1500)
		case Churn:
			f.N = 1 + r.IntN(max(1, c.Churning))
		}
		s = append(s, f)
	}
	return s
}
