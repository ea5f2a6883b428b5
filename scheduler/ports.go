// Package scheduler acts for lattices: for each lattice this instance owns, one
// worker folds the lattice's events into memory, decides in package core,
// appends the commands to the ledger under the claim's fence, sends them, and
// publishes what became of them.
//
// The package knows neither NATS nor how ownership is settled; it declares the
// small ports below and cmd ties them to their adapters.
package scheduler

import (
	"context"
	"errors"
	"time"

	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// Claim is the right to act for one lattice. Epoch is the stream sequence of
// the claim's record; it only rises.
type Claim struct {
	Key   tenancy.LatticeKey
	Epoch uint64
	// Guard ties the claim to whoever granted it; nil means that nothing but the
	// fence can take it away.
	Guard *Guard
}

// Guard is how a claim's grantor and the worker that acts under it speak to each
// other. Any of the functions may be nil.
type Guard struct {
	// MayAct is asked immediately before every effect: nil, or why it must not
	// leave. It does no I/O; the one that Hosts.Send is given may ask the ledger.
	MayAct func() error
	// AwaitEffects blocks until effects may leave for the first time; it returns
	// ctx's cause if that ends first.
	AwaitEffects func(ctx context.Context) error
	// Recovered is told that the worker has gathered its lattice and acts.
	Recovered func()
}

// MayAct is nil, or why no effect may leave under the claim.
func (c Claim) MayAct() error {
	if c.Guard == nil || c.Guard.MayAct == nil {
		return nil
	}
	return c.Guard.MayAct()
}

func (c Claim) awaitEffects(ctx context.Context) error {
	if c.Guard == nil || c.Guard.AwaitEffects == nil {
		return nil
	}
	return c.Guard.AwaitEffects(ctx)
}

func (c Claim) recovered() {
	if c.Guard != nil && c.Guard.Recovered != nil {
		c.Guard.Recovered()
	}
}

// Errors of the ports.
var (
	// ErrFenced: a newer claim exists. Drop everything for the lattice; acknowledge nothing.
	ErrFenced = errors.New("fenced by a newer claim")
	// ErrUnknownOutcome: the write may or may not be stored. The claim must be renewed.
	ErrUnknownOutcome = errors.New("outcome of the write is unknown")
	// ErrTooLarge: the state, or a command, does not fit into the ledger; nothing
	// was stored.
	ErrTooLarge = errors.New("too large to be stored")
	// ErrUndelivered: nobody listens on the subject of a request.
	ErrUndelivered = errors.New("nobody listens")
	// ErrNoAnswer: a request was not answered in time, or not readably.
	ErrNoAnswer = errors.New("no answer")
	// ErrUnderWay, from Own: of what was sent last it is not known that it has
	// arrived. The next owner has to wait for it.
	ErrUnderWay = errors.New("last commands may still be under way")
)

// Ledger stores an owner's intents and state. Every write is refused with
// ErrFenced once a newer claim exists and returns ErrUnknownOutcome when its
// fate is not known. Writes of one claim are made one after the other, but for ProveClaim.
type Ledger interface {
	// Append stores commands before they are sent, in order.
	Append(ctx context.Context, c Claim, cmds []lattice.Command) error
	// ProveClaim proves by a write, of which nothing stays, that no newer claim exists.
	// A read would not do: a server that has been cut off answers with what it had.
	ProveClaim(ctx context.Context, c Claim) error
	// Resolve notes that the outcome of commands is known. Losing the note costs
	// a successor some patience, nothing else.
	Resolve(ctx context.Context, c Claim, ids []string) error
	// Settle stores such notes, and those of the claim that still wait to be stored,
	// before it returns: for an owner that is about to give its claim up.
	Settle(ctx context.Context, c Claim, ids []string) error
	// InDoubt lists appended commands younger than the ledger's memory without a
	// note of their outcome, oldest first.
	InDoubt(ctx context.Context, c Claim) ([]lattice.Command, error)
	// SaveState replaces the lattice's stored state; ErrTooLarge when it does not fit.
	SaveState(ctx context.Context, c Claim, state []byte) error
	// LoadState reads it; nil when there is none that can be read.
	LoadState(ctx context.Context, c Claim) ([]byte, error)
}

// Delivery is one event message. Ack may be called once, from any goroutine;
// what is not acknowledged is delivered again.
type Delivery struct {
	Data []byte
	Ack  func()
}

// Intake delivers the events of a lattice, in stream order, each until it is
// acknowledged. Attach returns when ctx ends; gap is called (first at the start)
// whenever events may have been missed, so that the worker takes an inventory.
type Intake interface {
	Attach(ctx context.Context, c Claim, deliver func(Delivery), gap func()) error
}

// Hosts speaks the control interface. Every call has a deadline of its own;
// ErrUndelivered and ErrNoAnswer tell "nobody there" from "don't know".
type Hosts interface {
	// Send asks for a command. Epoch travels in a header. The caller has asked the
	// claim whether it may act; Send asks again before each further try.
	Send(ctx context.Context, c Claim, cmd lattice.Command) lattice.Reply
	// Flush returns nil once all commands that were sent until newest, when the last
	// one left, have arrived at the server this process is connected to, or never will.
	// What that server is given afterwards, it passes on after them. In a cluster it
	// does not order them with what enters at another server: there they may be late
	// by the time a route takes. An error says that some may come later still. It ends with ctx.
	Flush(ctx context.Context, newest time.Time) error
	// Ping lists the hosts that answer within the gather window, which may end
	// early once all that are expected have answered.
	Ping(ctx context.Context, key tenancy.LatticeKey, expected []lattice.HostID) ([]lattice.HostID, error)
	// Inventory asks one host for everything it runs.
	Inventory(ctx context.Context, key tenancy.LatticeKey, host lattice.HostID) (lattice.Inventory, error)
	// Links lists the links known to the host that answers.
	Links(ctx context.Context, key tenancy.LatticeKey) ([]lattice.Link, error)
	// Config reads a configuration; ok is false when it does not exist. A name that
	// hosts can't be asked for is tenancy.ErrBadName.
	Config(ctx context.Context, key tenancy.LatticeKey, name string) (value map[string]string, ok bool, err error)
}

// Desired reads what should run.
type Desired interface {
	// Deployed lists the deployed manifests of a lattice, by application name. A
	// record that can't be read is left out and reported by the implementation.
	Deployed(ctx context.Context, key tenancy.LatticeKey) (map[string]*manifest.Manifest, error)
	// Watch calls changed whenever the deployed manifests of the lattice may have
	// changed, until ctx ends. It may call too often, never too seldom.
	Watch(ctx context.Context, key tenancy.LatticeKey, changed func()) error
	// Cause names the newest change of an application and the trace context of the
	// request that made it, from memory; both may be empty.
	Cause(key tenancy.LatticeKey, app string) (id, traceparent string)
}

// Statuses publishes application statuses.
type Statuses interface {
	// Publish stores the newest status of an application. It returns once stored.
	Publish(ctx context.Context, key tenancy.LatticeKey, app string, s tenancy.Status) error
}
