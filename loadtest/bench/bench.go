package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/loadtest/simhost"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// Config shapes a measurement. The zero value is a small one.
type Config struct {
	// Prefix of the names of the lattices, which the server must not know.
	Prefix string
	// Lattices, Hosts of each, and Components on every host. Defaults 5, 3, 3.
	Lattices, Hosts, Components int
	// Rate of quiet heartbeats per second, of all hosts together. Default 50.
	Rate float64
	// Duration of each of the two measurements of heartbeats. Default 10 s.
	Duration time.Duration
	// Reactions and Deploys are how many of each are timed. Default 50.
	Reactions, Deploys int
	// Settle is how long it may take until all hosts carry their work. Default 2 min.
	Settle time.Duration
}

// WithDefaults fills in what is zero.
func (c Config) WithDefaults() Config {
	c.Prefix = cmp.Or(c.Prefix, "bench")
	c.Lattices = cmp.Or(c.Lattices, 5)
	c.Hosts = cmp.Or(c.Hosts, 3)
	c.Components = cmp.Or(c.Components, 3)
	c.Rate = cmp.Or(c.Rate, 50)
	c.Duration = cmp.Or(c.Duration, 10*time.Second)
	c.Reactions = cmp.Or(c.Reactions, 50)
	c.Deploys = cmp.Or(c.Deploys, 50)
	c.Settle = cmp.Or(c.Settle, 2*time.Minute)
	return c
}

// ErrConfig is wrapped by every error that refuses a configuration.
var ErrConfig = errors.New("impossible measurement")

// Validate says what is impossible. It expects defaults to be filled in.
func (c Config) Validate() error {
	switch {
	case c.Lattices < 1 || c.Hosts < 1 || c.Components < 1 || c.Reactions < 1 || c.Deploys < 1:
		return fmt.Errorf("%w: a number is below one", ErrConfig)
	case !(c.Rate > 0) || c.Duration <= 0 || c.Settle <= 0:
		return fmt.Errorf("%w: rate and durations must be positive", ErrConfig)
	}
	return nil
}

// Target is a server to measure. Only NATS is required.
type Target struct {
	Name string
	NATS *nats.Conn
	// PID of the server; 0 leaves its processor time unmeasured.
	PID int
	// Traffic counts what all other connections than the tool's own have sent and
	// received; nil leaves it unmeasured.
	Traffic func() (Traffic, error)
}

// Traffic counts messages and bytes, since some beginning.
type Traffic struct{ Messages, Bytes int64 }

// Report is what was measured of one server.
type Report struct {
	Server   string `json:"server"`
	Lattices int    `json:"lattices"`
	Hosts    int    `json:"hosts"`
	// Quiet heartbeats at the configured rate.
	Quiet Heartbeats `json:"quiet"`
	// Most: as many as the server takes.
	Most Heartbeats `json:"most"`
	// Reaction is from a stopped instance to the command that starts it again,
	// Deploy from the acknowledgement of a changed count to its first command.
	Reaction Durations `json:"reaction"`
	Deploy   Durations `json:"deploy"`
}

// Heartbeats is what heartbeats cost. What was not measured is zero.
type Heartbeats struct {
	Sent    int     `json:"sent"`
	Handled int     `json:"handled"`
	Rate    float64 `json:"handled_per_second"`
	// CPU in microseconds, messages and bytes of the server, per handled heartbeat.
	CPU      float64 `json:"cpu_us"`
	Messages float64 `json:"messages"`
	Bytes    float64 `json:"bytes"`
	// Commands that came although nothing had changed.
	Commands int `json:"commands"`
}

// Durations sums up a set of durations, in milliseconds. Missed ones never ended.
type Durations struct {
	Count  int     `json:"count"`
	Missed int     `json:"missed"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
	Max    float64 `json:"max_ms"`
}

func sumUp(all []time.Duration, missed int) Durations {
	d := Durations{Count: len(all), Missed: missed}
	if len(all) > 0 {
		slices.Sort(all)
		ms := func(i int) float64 { return float64(all[min(i, len(all)-1)].Microseconds()) / 1000 }
		d.P50, d.P99, d.Max = ms(len(all)/2), ms(len(all)*99/100), ms(len(all)-1)
	}
	return d
}

// bench is one measurement under way.
type bench struct {
	cfg    Config
	target Target
	js     jetstream.JetStream
	lats   []*bed
}

// bed is one lattice with its application.
type bed struct {
	sim     *simhost.Lattice
	api     *api.Client
	command chan simhost.Record
	version int
}

// Run measures a server.
func Run(ctx context.Context, target Target, cfg Config) (*Report, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(target.NATS)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	b := &bench{cfg: cfg, target: target, js: js}
	defer func() {
		for _, l := range b.lats {
			l.sim.Close()
		}
	}()
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	r := &Report{Server: target.Name, Lattices: cfg.Lattices, Hosts: cfg.Hosts}
	if r.Quiet, err = b.quiet(ctx); err != nil {
		return nil, fmt.Errorf("measure quiet heartbeats: %w", err)
	}
	if r.Reaction, err = b.reactions(ctx); err != nil {
		return nil, fmt.Errorf("measure reactions: %w", err)
	}
	if r.Deploy, err = b.deploys(ctx); err != nil {
		return nil, fmt.Errorf("measure deployments: %w", err)
	}
	if r.Most, err = b.most(ctx); err != nil {
		return nil, fmt.Errorf("measure most heartbeats: %w", err)
	}
	return r, nil
}

// build starts hosts, deploys an application in every lattice, and waits until
// all run. The interval of the heartbeats gives the rate.
func (b *bench) build(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, b.cfg.Settle, errors.New("hosts do not carry their work in time"))
	defer cancel()
	interval := time.Duration(float64(b.cfg.Lattices*b.cfg.Hosts) / b.cfg.Rate * float64(time.Second))
	for i := range b.cfg.Lattices {
		name := fmt.Sprintf("%s%d", b.cfg.Prefix, i)
		l := &bed{command: make(chan simhost.Record, 1)}
		var err error
		if l.sim, err = simhost.New(b.target.NATS, name, simhost.Config{
			Seed: uint64(i), HeartbeatInterval: interval, SpreadHeartbeats: true, Records: -1,
			OnCommand: func(r simhost.Record) {
				select {
				case l.command <- r:
				default: // nobody waits
				}
			},
		}); err != nil {
			return err
		}
		b.lats = append(b.lats, l)
		if l.api, err = api.NewClient(b.target.NATS, api.ClientConfig{Lattice: tenancy.Lattice(name)}); err != nil {
			return err
		}
		for range b.cfg.Hosts {
			if _, err := l.sim.AddHost(simhost.HostConfig{}); err != nil {
				return err
			}
		}
		if err := l.deploy(ctx, b.cfg, perHost); err != nil {
			return err
		}
	}
	for _, l := range b.lats {
		if err := l.sim.WaitFor(ctx, func() bool { return l.complete(b.cfg, perHost) }); err != nil {
			return err
		}
	}
	return b.drained(ctx)
}

// perHost is how many instances of each component a host carries at first.
const perHost = 2

// app of every lattice: daemons, so that each host carries each component.
const app = "load"

func (l *bed) deploy(ctx context.Context, cfg Config, count int) error {
	l.version++
	version := fmt.Sprintf("v%d", l.version)
	if _, err := l.api.Put(ctx, manifest(cfg.Components, version, count), "application/json"); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	// What came before is no answer to what comes.
	select {
	case <-l.command:
	default:
	}
	if _, err := l.api.Deploy(ctx, app, &version); err != nil {
		return fmt.Errorf("deploy: %w", err)
	}
	return nil
}

// complete tells whether each host carries each component, the first as often as
// is said.
func (l *bed) complete(cfg Config, count int) bool {
	for _, h := range l.sim.Hosts() {
		inv := h.Inventory()
		if len(inv.Components) != cfg.Components {
			return false
		}
		for _, c := range inv.Components {
			if c.ID == first && int(c.Max) != count {
				return false
			}
		}
	}
	return true
}

// drained waits until no event is left to be handled.
func (b *bench) drained(ctx context.Context) error {
	for {
		n, err := b.backlog(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// backlog is how many messages consumers have not got or not acknowledged.
func (b *bench) backlog(ctx context.Context) (int, error) {
	n := 0
	streams := b.js.ListStreams(ctx)
	for s := range streams.Info() {
		stream, err := b.js.Stream(ctx, s.Config.Name)
		if err != nil {
			return 0, fmt.Errorf("look at stream %s: %w", s.Config.Name, err)
		}
		consumers := stream.ListConsumers(ctx)
		for c := range consumers.Info() {
			n += int(c.NumPending) + c.NumAckPending
		}
		if err := consumers.Err(); err != nil {
			return 0, fmt.Errorf("list consumers of %s: %w", s.Config.Name, err)
		}
	}
	if err := streams.Err(); err != nil {
		return 0, fmt.Errorf("list streams: %w", err)
	}
	return n, nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
