package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"wadm/config/natsconn"
	"wadm/shard"
	"wadm/shard/natskv"
	"wadm/shard/ring"
)

// startLimit bounds how long everything may take to run before the first fault.
const startLimit = 60 * time.Second

// runner is one run.
type runner struct {
	cfg     Config
	servers *natsServers
	nc      *natsconn.Conn
	ledger  *Ledger
	wire    *Wire
	probes  *prober

	// sites are probed, churning deployed and undeployed.
	sites, churning []*site
	base            []*instance

	// spawn starts proxies that end with the run.
	spawn func(id string) (*instance, error)

	ended time.Time // when everybody was told to leave

	natsBusy sync.Mutex

	mu        sync.Mutex
	done      []happened
	skipped   map[Kind]int
	extra     []*instance
	newcomers int
	bad       []string
	lastNATS  time.Time // end of the newest trouble of NATS or a link
}

// happened is a fault as it was.
type happened struct {
	Fault
	from, to time.Time
	// cutOff are the instances that others may give up for it, but for new ones.
	cutOff []shard.MemberID
}

// Run carries a seed's schedule out and reports. The error says that the run
// could not be made; what the servers did wrong is in the report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()

	r := &runner{cfg: cfg, ledger: NewLedger(), wire: NewWire(), probes: newProber(), skipped: map[Kind]int{}}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("chaos: %w", err)
	}
	if r.servers, err = newNATSServers(cfg.NATS, dir, cfg.Servers); err != nil {
		return nil, err
	}
	defer r.servers.stop()
	if err := r.servers.start(ctx); err != nil {
		return nil, err
	}
	if r.nc, err = natsconn.Connect(ctx, natsconn.Config{
		Server: r.servers.url(), Name: "chaos",
		// The checker must not miss what others do after an outage.
		Options: []nats.Option{nats.CustomReconnectDelay(func(int) time.Duration { return 5 * time.Millisecond })},
	}, nil); err != nil {
		return nil, err
	}
	defer r.nc.Close()
	r.spawn = func(id string) (*instance, error) { return newInstance(ctx, &wg, cfg, id, r.servers) }
	defer r.end()
	if err := r.prepare(ctx, &wg); err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range append(r.sites, r.churning...) {
			s.sim.Close()
		}
	}()

	stop := make(chan struct{})
	var probing sync.WaitGroup
	for _, s := range r.sites {
		probing.Go(func() { r.probes.run(ctx, stop, s, cfg.Probe) })
	}
	schedule := cfg.Schedule
	if schedule == nil {
		schedule = NewSchedule(cfg)
	}
	r.carryOut(ctx, schedule)
	rep := &Report{Seed: cfg.Seed, Servers: cfg.Servers, Schedule: schedule}
	calm := time.Now()
	r.cover(ctx, rep, calm)
	close(stop)
	r.settle(ctx, rep, calm)
	// A probe that nobody answers must not hold the report up.
	cancelProbes := time.AfterFunc(time.Second, cancel)
	probing.Wait()
	cancelProbes.Stop()
	// How everybody leaves together is no movement.
	r.wire.rest()
	r.ended = time.Now()
	r.drainAll(context.WithoutCancel(ctx))
	r.judge(rep, r.heads(context.WithoutCancel(ctx)))
	rep.Took = time.Since(began)
	return rep, ctxError(ctx, rep)
}

// ctxError is why a run was broken off, if nothing was found.
func ctxError(ctx context.Context, rep *Report) error {
	if err := context.Cause(ctx); err != nil && len(rep.Violations) == 0 {
		return fmt.Errorf("chaos: %w", err)
	}
	return nil
}

func (r *runner) end() {
	for _, in := range append(r.base, r.extra...) {
		in.kill()
	}
}

// prepare starts everything and waits until every lattice is as it should be.
func (r *runner) prepare(ctx context.Context, wg *sync.WaitGroup) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := time.AfterFunc(startLimit, cancel)
	defer limit.Stop()
	if err := r.watch(ctx, wg); err != nil {
		return err
	}
	for i := range r.cfg.Lattices + max(0, r.cfg.Churning) {
		name := fmt.Sprintf("l%d", i)
		if i >= r.cfg.Lattices {
			name = fmt.Sprintf("churn%d", i-r.cfg.Lattices)
		}
		s, err := newSite(r.nc.Conn, r.cfg, name)
		if err != nil {
			return err
		}
		if i < r.cfg.Lattices {
			r.sites = append(r.sites, s)
		} else {
			r.churning = append(r.churning, s)
		}
	}
	for i := range r.cfg.Instances {
		in, err := r.spawn(fmt.Sprintf("i%d", i+1))
		if err != nil {
			return err
		}
		r.base = append(r.base, in)
		if err := in.start(); err != nil {
			return err
		}
	}
	return r.await(ctx)
}

// watch starts the checkers, before there is anything to see. They live as long as
// the connection: until the run is over.
func (r *runner) watch(ctx context.Context, wg *sync.WaitGroup) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	r.nc.SetClosedHandler(func(*nats.Conn) { end() })
	js := r.nc.JetStream()
	wg.Go(func() { r.ledger.follow(life, js) })
	wg.Go(func() { r.wire.followEvents(life, js) })
	wg.Go(func() { r.wire.followViews(life, js) })
	return r.wire.listen(life, wg, r.nc.Conn)
}

// await waits until everything is ready.
func (r *runner) await(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, in := range r.base {
		g.Go(func() error {
			if err := in.ready(gctx); err != nil {
				return fmt.Errorf("%w; log:\n%s", err, in.log(4000))
			}
			return nil
		})
	}
	for _, s := range r.sites {
		g.Go(func() error { return s.want(gctx, true) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	for {
		err := r.unrest(ctx)
		if err == nil {
			return nil
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return fmt.Errorf("prepare: not at rest within %v: %w\n%s", startLimit, err, r.explain())
		}
	}
}

// unrest says what is not yet as it will stay (I9).
func (r *runner) unrest(ctx context.Context) error {
	for _, s := range append(append([]*site(nil), r.sites...), r.churning...) {
		if err := s.right(); err != nil {
			return err
		}
	}
	v, placed, _ := r.wire.view()
	if placed == nil || len(v.Members) != len(r.base) || v.Ramp != nil {
		return fmt.Errorf("view %d has %d members, ramp %+v", v.Rev, len(v.Members), v.Ramp)
	}
	for _, in := range r.base {
		m, ok := v.Member(shard.MemberID(in.id))
		if !ok || m.State != shard.MemberActive || m.Units != ring.FullUnits {
			return fmt.Errorf("view %d: member %s is %s with %d units", v.Rev, in.id, m.State, m.Units)
		}
	}
	for _, s := range r.sites {
		want, _ := placed.Owner(string(s.key))
		c, ok := r.ledger.Head(s.key)
		if !ok || c.Record.State != shard.Held || c.Record.Owner != shard.MemberID(want) {
			return fmt.Errorf("%s is %s by %q, should be held by %s", s.key, c.Record.State, c.Record.Owner, want)
		}
		if m, _ := v.Member(c.Record.Owner); m.Incarnation != c.Record.Incarnation {
			return fmt.Errorf("%s is held by an earlier life of %s", s.key, want)
		}
	}
	for _, in := range r.base {
		limit, cancel := context.WithTimeout(ctx, 2*time.Second)
		status, body, err := in.page(limit, "/readyz")
		cancel()
		if err != nil || status != 200 {
			return fmt.Errorf("instance %s is not ready: %w %.300s", in.id, err, body)
		}
	}
	return nil
}

// cover waits until every lattice has reacted to something that happened after calm (I3).
func (r *runner) cover(ctx context.Context, rep *Report, calm time.Time) {
	for {
		missing := r.probes.since(calm, r.sites)
		rep.Covered = time.Since(calm)
		if len(missing) == 0 {
			return
		}
		if rep.Covered > r.cfg.Coverage || !sleep(ctx, 20*time.Millisecond) {
			r.violate("I3: nobody acts for %v %v after the last fault", missing, ms(rep.Covered))
			return
		}
	}
}

// settle waits until everything is at rest and stays so (I9).
func (r *runner) settle(ctx context.Context, rep *Report, calm time.Time) {
	rest := func() (string, error) {
		_, _, views := r.wire.view()
		commands := 0
		for _, s := range append(append([]*site(nil), r.sites...), r.churning...) {
			commands += len(s.sim.Commands())
		}
		return fmt.Sprintf("%d claims, %d views, %d commands", len(r.ledger.Claims()), views, commands), r.unrest(ctx)
	}
	for {
		before, err := rest()
		if err == nil {
			rep.Rested = time.Since(calm)
			if !sleep(ctx, r.cfg.Quiet) {
				return
			}
			after, again := rest()
			if again == nil && before == after {
				return
			}
			if err = again; err == nil {
				err = fmt.Errorf("%s became %s", before, after)
			}
		}
		if time.Since(calm) > r.cfg.Settle {
			r.violate("I9: not at rest %v after the last fault: %v", r.cfg.Settle, err)
			r.violate("I9: what is known:\n%s", r.explain())
			return
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return
		}
	}
}

// drainAll stops every instance in order.
func (r *runner) drainAll(ctx context.Context) {
	var wg sync.WaitGroup
	for _, in := range r.base {
		wg.Go(func() {
			if code, err := in.drain(ctx); err != nil || code != 0 {
				r.violate("drain: instance %s ended with %d, %v; log:\n%s", in.id, code, err, in.log(2500))
			}
		})
	}
	wg.Wait()
}

// heads reads the newest claim of every key, from the server that leads the ledger,
// when nobody writes any more, and lets the checkers come that far.
func (r *runner) heads(ctx context.Context) map[shard.Key]uint64 {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	st, err := r.nc.JetStream().Stream(ctx, natskv.DefaultLedger)
	heads := map[shard.Key]uint64{}
	for _, s := range append(append([]*site(nil), r.sites...), r.churning...) {
		if err != nil {
			break
		}
		var m *jetstream.RawStreamMsg
		switch m, err = st.GetLastMsgForSubject(ctx, natskv.ClaimSubject+"."+string(s.key)); {
		case err == nil:
			heads[s.key] = m.Sequence
		case errors.Is(err, jetstream.ErrMsgNotFound):
			heads[s.key], err = 0, nil
		}
	}
	if err != nil {
		r.violate("I1: the claims cannot be read at the end: %v", err)
		return nil
	}
	for k, seq := range heads {
		for seen, _ := r.ledger.Head(k); seen.Seq < seq; seen, _ = r.ledger.Head(k) {
			if !sleep(ctx, 10*time.Millisecond) {
				r.violate("I1: %s: the checker read up to claim %d, the last one is %d", k, seen.Seq, seq)
				return nil
			}
		}
	}
	return heads
}

func (r *runner) violate(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad = append(r.bad, fmt.Sprintf(format, args...))
}

// explain tells what is known about a fleet that is not at rest.
func (r *runner) explain() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var b strings.Builder
	st, err := r.nc.JetStream().Stream(ctx, natskv.DefaultLedger)
	if err != nil {
		fmt.Fprintf(&b, "the ledger cannot be looked up: %v\n", err)
	}
	for _, s := range append(append([]*site(nil), r.sites...), r.churning...) {
		seen, _ := r.ledger.Head(s.key)
		fmt.Fprintf(&b, "%s: seen %d %s by %s", s.key, seen.Seq, seen.Record.State, seen.Record.Owner)
		if st != nil {
			m, err := st.GetLastMsgForSubject(ctx, natskv.ClaimSubject+"."+string(s.key))
			if err != nil {
				fmt.Fprintf(&b, "; unreadable: %v", err)
			} else if m.Sequence != seen.Seq {
				fmt.Fprintf(&b, "; stored is %d %s", m.Sequence, m.Data)
			}
		}
		fmt.Fprintln(&b)
	}
	for _, in := range r.base {
		_, page, err := in.page(ctx, "/ring")
		fmt.Fprintf(&b, "ring of %s: %s %v\nlog of %s ends with:\n%s\n", in.id, page[:min(len(page), 3000)], err, in.id, in.log(2500))
	}
	return b.String()
}
