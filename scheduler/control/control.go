// Package control speaks the wasmCloud control interface: it sends commands to
// the hosts of a lattice and asks what they run.
//
// It guarantees that a command is published at most once when it addresses one
// host, at most twice when it is an idempotent one that any host of the lattice
// may answer, and not at all when one of its names could change the subject it
// is published on. It does not guarantee that a command without an answer has
// not happened: a host that compiles answers nobody and does everything it was
// asked afterwards.
//
// Between calls it remembers only when its connection was last lost with commands
// on it. It may be used by any number of goroutines.
// To test with it, subscribe to the control subjects on an embedded server.
package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/scheduler"
	"wadm/tenancy"
)

// Config says how to reach hosts. The zero value is the single-tenant default.
type Config struct {
	// Prefix stands before ".v1.{lattice}" in every subject. Default "wasmbus.ctl".
	// It must be what the hosts were started with.
	Prefix string
	// Account gives the token that stands before the prefix in the subjects of a
	// tenant, "" for none. Nil: no tenant has one.
	Account func(tenancy.Tenant) string
	// Instance names this process in the header of every request.
	Instance string
	// Timeout bounds one request, second asking included. Default 2 s. Too short
	// and slow hosts count as silent; too long and a dead one holds up its commands.
	Timeout time.Duration
	// AskAgain is how long an idempotent request that any host may answer waits
	// before it is asked a second time. Default 1 s; at or above Timeout it never is.
	AskAgain time.Duration
	// Gather bounds how long Ping collects answers. Default 2 s.
	Gather time.Duration
	// GatherQuiet ends Ping early once that long nobody has answered any more,
	// counted from the last answer. Default 300 ms.
	GatherQuiet time.Duration
	// GatherKnown replaces GatherQuiet when all expected hosts have answered, for a
	// hand-over has to be quick. Default 30 ms.
	GatherKnown time.Duration
}

// WithDefaults fills what is zero.
func (c Config) WithDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, "wasmbus.ctl")
	if c.Account == nil {
		c.Account = func(tenancy.Tenant) string { return "" }
	}
	c.Timeout = cmp.Or(c.Timeout, 2*time.Second)
	c.AskAgain = cmp.Or(c.AskAgain, time.Second)
	c.Gather = cmp.Or(c.Gather, 2*time.Second)
	c.GatherQuiet = cmp.Or(c.GatherQuiet, 300*time.Millisecond)
	c.GatherKnown = cmp.Or(c.GatherKnown, 30*time.Millisecond)
	return c
}

// Validate refuses what cannot work.
func (c Config) Validate() error {
	if c.Timeout < 0 || c.AskAgain < 0 || c.Gather < 0 || c.GatherQuiet < 0 || c.GatherKnown < 0 {
		return errors.New("control: times must not be negative")
	}
	if !isSubject(c.Prefix) {
		return fmt.Errorf("control: prefix %q: want tokens of printable ASCII without wildcards, separated by dots", clip(c.Prefix))
	}
	for _, r := range c.Instance {
		if r < ' ' || r > '~' {
			return fmt.Errorf("control: instance %q: want printable ASCII", clip(c.Instance))
		}
	}
	return nil
}

// Client implements [scheduler.Hosts] over one NATS connection, which it does
// not own.
type Client struct {
	nc  *nats.Conn
	cfg Config

	mu sync.Mutex
	// sent is when the newest command left, when there had been so many reconnects;
	// lost is when the newest loss of a connection with commands on it was noticed.
	sent, lost time.Time
	reconnects uint64
}

var _ scheduler.Hosts = (*Client)(nil)

// New checks cfg. It sends nothing.
func New(nc *nats.Conn, cfg Config) (*Client, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Client{nc: nc, cfg: cfg}, nil
}

// errRefused carries the text of a reply with success=false.
type errRefused struct{ text string }

func (e errRefused) Error() string { return "refused: " + e.text }

// reply is the envelope of every answer. Only success must be there.
type reply struct {
	Success  *bool           `json:"success"`
	Message  string          `json:"message"`
	Response json.RawMessage `json:"response"`
}

// decodeReply reads an answer. An unreadable one is ErrNoAnswer: what was asked
// may have happened.
func decodeReply(data []byte) (reply, error) {
	var r reply
	if err := json.Unmarshal(data, &r); err != nil {
		return reply{}, fmt.Errorf("decode reply: %w: %w", scheduler.ErrNoAnswer, err)
	}
	if r.Success == nil {
		return reply{}, fmt.Errorf("decode reply: %w: it has no \"success\"", scheduler.ErrNoAnswer)
	}
	if string(r.Response) == "null" {
		r.Response = nil
	}
	return r, nil
}

// subject builds "{account.}{prefix}.v1.{lattice}.{rest}". Only names that are
// one token get this far.
func (c *Client) subject(key tenancy.LatticeKey, rest string) (string, error) {
	if _, err := tenancy.ParseLattice(string(key.Lattice)); err != nil {
		return "", err
	}
	prefix := c.cfg.Prefix
	if a := c.cfg.Account(key.Tenant); a != "" {
		if !isToken(a) {
			return "", fmt.Errorf("account %q of tenant %q: %w", clip(a), key.Tenant, tenancy.ErrBadName)
		}
		prefix = a + "." + prefix
	}
	return prefix + ".v1." + string(key.Lattice) + "." + rest, nil
}

// ask publishes one request and waits for its answer. With twice set the request
// is idempotent and any host of the lattice may answer, so a silent first try is
// followed by a second one, which the server most likely hands to another host.
// Time has passed by then, so mayAct is asked whether it may still leave.
func (c *Client) ask(ctx context.Context, m *nats.Msg, twice bool, mayAct func() error) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if twice && c.cfg.AskAgain < c.cfg.Timeout {
		first, stop := context.WithTimeout(ctx, c.cfg.AskAgain)
		r, err := c.askOnce(first, m)
		stop()
		if !errors.Is(err, errSilent) || ctx.Err() != nil {
			return r, err
		}
		if why := mayAct(); why != nil {
			return r, fmt.Errorf("%w; not asked again: %w", err, why)
		}
		r, err = c.askOnce(ctx, m)
		if errors.Is(err, scheduler.ErrUndelivered) || errors.Is(err, errUnsent) {
			// Nobody hears it now, but somebody was handed the first try.
			err = fmt.Errorf("ask %s: %w", m.Subject, scheduler.ErrNoAnswer)
		}
		return r, err
	}
	return c.askOnce(ctx, m)
}

var (
	// errSilent tells a request without any answer from one with an unreadable answer.
	errSilent = errors.New("silence")
	// errUnsent: there is no connection, and what cannot be sent now is not kept.
	errUnsent = errors.New("not sent")
)

func (c *Client) askOnce(ctx context.Context, m *nats.Msg) (reply, error) {
	answer, err := c.nc.RequestMsgWithContext(ctx, m)
	switch {
	case err == nil:
		return decodeReply(answer.Data)
	case errors.Is(err, nats.ErrNoResponders):
		return reply{}, fmt.Errorf("ask %s: %w", m.Subject, scheduler.ErrUndelivered)
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject):
		return reply{}, errRefused{"not sent: " + err.Error()}
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return reply{}, fmt.Errorf("ask %s: %w: %w: %w", m.Subject, scheduler.ErrNoAnswer, errUnsent, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return reply{}, fmt.Errorf("ask %s: %w: %w", m.Subject, scheduler.ErrNoAnswer, errSilent)
	default:
		return reply{}, fmt.Errorf("ask %s: %w: %w", m.Subject, scheduler.ErrNoAnswer, err)
	}
}
