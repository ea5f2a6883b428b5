package churn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// operatorHeader marks requests that an operator sends, to tell them from the
// server's in what the hosts recorded.
const operatorHeader = "Churn-Operator"

// requestTimeout bounds every request of the suite.
const requestTimeout = 10 * time.Second

// Run plays a plan against the server that nc leads to and reports what became
// of it. Violations are in the report; an error means that there is none. The
// connection stays the caller's.
func Run(ctx context.Context, nc *nats.Conn, plan *Plan) (*Report, error) {
	players := make([]*player, len(plan.lattices))
	begin := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for i := range plan.lattices {
		p, err := newPlayer(nc, plan.cfg, &plan.lattices[i])
		if err != nil {
			return nil, err
		}
		defer p.sim.Close()
		players[i] = p
		g.Go(func() error { return p.run(gctx, begin) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return report(plan, players, time.Since(begin)), nil
}

// player does to one lattice what its plan says.
type player struct {
	cfg   Config
	plan  *latticePlan
	sim   *simhost.Lattice
	nc    *nats.Conn
	api   *api.Client
	hosts []*simhost.Host // by number; nil for one that never ran
	// numbers of all hosts that ever ran.
	numbers map[lattice.HostID]int
	// faulty: commands get lost.
	faulty  atomic.Bool
	foreign []foreignWork
	history *history

	violations []Violation
	// settled is how long it took to come to rest after the last operation.
	settled time.Duration
	missed  int // operations that found nothing to do
}

func newPlayer(nc *nats.Conn, cfg Config, plan *latticePlan) (*player, error) {
	p := &player{cfg: cfg, plan: plan, nc: nc, hosts: make([]*simhost.Host, cfg.Hosts), numbers: map[lattice.HostID]int{}, history: newHistory()}
	random := rand.New(rand.NewPCG(cfg.Seed, 1))
	flaky := map[string]int{}
	var err error
	p.sim, err = simhost.New(nc, plan.name, simhost.Config{
		Seed: cfg.Seed, HeartbeatInterval: cfg.Heartbeat, SpreadHeartbeats: true, LinkLag: 20 * time.Millisecond,
		ShutdownDelay: 30 * time.Millisecond,
		Images:        func(ref string) simhost.Image { return image(ref, flaky, cfg.Heartbeat) },
		Fate: func(r simhost.Record) simhost.Fate {
			if r.Header.Get(operatorHeader) == "" && p.faulty.Load() && random.Float64() < cfg.Loss {
				return []simhost.Fate{simhost.Lost, simhost.Unanswered, simhost.Doubled}[random.IntN(3)]
			}
			return simhost.Delivered
		},
	})
	if err != nil {
		return nil, err
	}
	p.api, err = api.NewClient(nc, api.ClientConfig{Lattice: tenancy.Lattice(plan.name), Timeout: requestTimeout})
	if err != nil {
		p.sim.Close()
		return nil, err
	}
	return p, nil
}

// image is how an image behaves, by the word in its tag. seen counts how often a
// flaky one failed.
func image(ref string, seen map[string]int, beat time.Duration) simhost.Image {
	switch behaviour(ref) {
	case "slow":
		return simhost.Image{Fetch: beat / 5, Compile: beat / 5}
	case "mute":
		return simhost.Image{Compile: 3 * beat / 2, Mutes: true}
	case "bad":
		return simhost.Image{FetchError: "image does not exist"}
	case "flaky":
		if seen[ref]++; seen[ref] <= 2 {
			return simhost.Image{FetchError: "registry is tired"}
		}
	}
	return simhost.Image{}
}

// violate notes a violation by, or concerning, an application, id or name.
func (p *player) violate(rule, about, format string, args ...any) {
	p.violations = append(p.violations, Violation{Lattice: p.plan.name, Rule: rule, Detail: fmt.Sprintf(format, args...), about: about})
}

func (p *player) run(ctx context.Context, begin time.Time) error {
	for i, labels := range p.plan.hosts {
		if err := p.startHost(i, labels); err != nil {
			return err
		}
	}
	if err := p.sim.SeedConfig(foreignConfig, map[string]string{"value": "kept"}); err != nil {
		return err
	}
	faults := simhost.Faults{
		EventDrop: p.cfg.EventLoss / 3, EventDuplicate: p.cfg.EventLoss / 3, EventDelay: p.cfg.EventLoss / 3, EventDelayMax: time.Second,
	}
	if err := p.sim.SetFaults(faults); err != nil {
		return err
	}
	p.faulty.Store(true)
	for _, o := range p.plan.ops {
		if o.At >= p.cfg.Duration && p.faulty.Swap(false) {
			if err := p.sim.SetFaults(simhost.Faults{}); err != nil {
				return err
			}
		}
		if err := pause(ctx, time.Until(begin.Add(o.At))); err != nil {
			return err
		}
		p.history.do(o, time.Now())
		if err := p.apply(ctx, o); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			p.violate("operation failed", o.App, "%v: %v", o, err)
		}
	}
	p.faulty.Store(false)
	if err := p.sim.SetFaults(simhost.Faults{}); err != nil {
		return err
	}
	if err := pause(ctx, time.Until(begin.Add(p.cfg.Duration))); err != nil {
		return err
	}
	return p.rest(ctx)
}

// pause waits for d, or returns ctx's cause.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *player) startHost(i int, labels map[string]string) error {
	// Commands may come before AddHost returns.
	begin := time.Now()
	h, err := p.sim.AddHost(simhost.HostConfig{Labels: labels})
	if err != nil {
		return err
	}
	p.hosts[i] = h
	p.numbers[h.ID()] = i
	p.history.host(h.ID(), labels, begin)
	return nil
}

// apply does one operation. The error says that it could not be done.
func (p *player) apply(ctx context.Context, o Operation) error {
	switch o.Kind {
	case "deploy", "upgrade", "scale", "mend":
		data, err := o.spec.manifest()
		if err != nil {
			return err
		}
		if _, err := p.api.Put(ctx, data, "application/json"); err != nil {
			return fmt.Errorf("put: %w", err)
		}
		return p.deploy(ctx, o)
	case "rollback", "redeploy", "bring back":
		return p.deploy(ctx, o)
	case "undeploy":
		p.history.going(o.App, time.Now())
		err := p.api.Undeploy(ctx, o.App)
		p.history.deployed(o.App, nil, time.Now())
		return err
	case "delete":
		p.history.going(o.App, time.Now())
		_, err := p.api.Delete(ctx, o.App, nil)
		p.history.deployed(o.App, nil, time.Now())
		return err
	case "delete version":
		_, err := p.api.Delete(ctx, o.App, &o.Version)
		return err
	case "delete link":
		return p.operator(ctx, "link.del", map[string]string{
			"source_id": o.link.From, "name": "default", "wit_namespace": namespace, "wit_package": o.link.Package,
		})
	case "delete configuration":
		return p.operator(ctx, "config.del."+o.id, nil)
	case "set configuration":
		return p.operator(ctx, "config.put."+o.id, o.values)
	case "stop component", "stop provider":
		p.stopByHand(o)
		return nil
	}
	return p.applyToHost(o)
}

func (p *player) deploy(ctx context.Context, o Operation) error {
	p.history.deployed(o.App, o.spec, time.Now())
	got, err := p.api.Deploy(ctx, o.App, &o.Version)
	if err == nil && got != o.Version {
		err = fmt.Errorf("deployed version %q", got)
	}
	p.history.acknowledged(o.App, time.Now())
	return err
}

// operator sends a control request as an operator would.
func (p *player) operator(ctx context.Context, tail string, body any) error {
	m := nats.NewMsg("wasmbus.ctl.v1." + p.plan.name + "." + tail)
	m.Header.Set(operatorHeader, "yes")
	if body != nil {
		var err error
		if m.Data, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	// A host that is mute answers later. Asking again meanwhile would do it twice,
	// the second time after something else was wanted. One that dies never answers.
	patience := requestTimeout + longestSilence*p.cfg.Heartbeat
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	for {
		one, stop := context.WithTimeout(ctx, patience)
		answer, err := p.nc.RequestMsgWithContext(one, m)
		stop()
		var reply struct {
			Success bool   `json:"success"`
			Message string `json:"message"`
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			continue
		}
		if err := json.Unmarshal(answer.Data, &reply); err != nil {
			return fmt.Errorf("decode reply to %s: %w", m.Subject, err)
		}
		if !reply.Success {
			return fmt.Errorf("%s refused: %s", m.Subject, reply.Message)
		}
		return nil
	}
}

// stopByHand stops one of the instances there are.
func (p *player) stopByHand(o Operation) {
	var on []*simhost.Host
	for _, h := range p.sim.Hosts() {
		if runs(h.Inventory(), o.id) {
			on = append(on, h)
		}
	}
	if len(on) == 0 {
		p.missed++
		return
	}
	h := on[o.choice%len(on)]
	stop := h.RemoveComponent
	if o.provider {
		stop = h.RemoveProvider
	}
	if stop(lattice.WorkloadID(o.id)) != nil {
		p.missed++ // it went by itself meanwhile
		return
	}
	p.history.stopped(o.id, time.Now())
}

func (p *player) applyToHost(o Operation) error {
	h := p.hosts[o.Host]
	switch o.Kind {
	case "start host":
		return p.startHost(o.Host, o.labels)
	case "stop host", "kill host":
		p.forgetHost(h.ID())
		if o.Kind == "kill host" {
			return h.Kill()
		}
		return h.Stop()
	case "restart host", "replace host":
		p.forgetHost(h.ID())
		begin := time.Now()
		if err := h.Restart(o.Kind == "replace host"); err != nil {
			return err
		}
		p.numbers[h.ID()] = o.Host
		p.history.host(h.ID(), h.Inventory().Labels, begin)
		// The process comes back with the labels it was configured with.
		labels := p.labelsBefore(o)
		p.history.host(h.ID(), labels, time.Now())
		return h.Relabel(labels)
	case "relabel host":
		p.history.host(h.ID(), o.labels, time.Now())
		return h.Relabel(o.labels)
	case "mute host":
		return h.Mute(o.For)
	case "start foreign", "take id":
		return p.startForeign(h, o)
	case "free id":
		return p.stopForeign(o)
	}
	return errors.New("unknown operation")
}

// labelsBefore are the labels that the operations before o gave to its host.
func (p *player) labelsBefore(o Operation) map[string]string {
	labels := p.plan.hosts[o.Host]
	for _, before := range p.plan.ops {
		if before.At == o.At && before.Kind == o.Kind {
			break
		}
		if before.Host == o.Host && before.labels != nil {
			labels = before.labels
		}
	}
	return labels
}

func (p *player) forgetHost(id lattice.HostID) {
	p.foreign = slices.DeleteFunc(p.foreign, func(f foreignWork) bool { return f.host == id })
}

// startForeign starts work of somebody else, unless the host has that id already.
func (p *player) startForeign(h *simhost.Host, o Operation) error {
	id := lattice.WorkloadID(o.id)
	inv := h.Inventory()
	if slices.ContainsFunc(inv.Components, func(c lattice.Component) bool { return c.ID == id }) ||
		slices.ContainsFunc(inv.Providers, func(c lattice.Provider) bool { return c.ID == id }) {
		p.missed++
		return nil
	}
	annotations := map[string]string{"owner": "operator"}
	var err error
	if o.provider {
		err = h.StartProvider(lattice.Provider{ID: id, Image: foreignImage, Annotations: annotations})
	} else {
		err = h.StartComponent(lattice.Component{ID: id, Image: foreignImage, Annotations: annotations, Max: foreignMax})
	}
	if err == nil {
		p.foreign = append(p.foreign, foreignWork{h.ID(), id, o.provider})
	}
	return err
}

// stopForeign stops what once took an id, if it is still there.
func (p *player) stopForeign(o Operation) error {
	h := p.hosts[o.Host]
	if h == nil {
		return nil
	}
	i := slices.IndexFunc(p.foreign, func(f foreignWork) bool { return f.host == h.ID() && string(f.id) == o.id })
	if i < 0 {
		p.missed++
		return nil
	}
	remove := h.RemoveComponent
	if o.provider {
		remove = h.RemoveProvider
	}
	err := remove(lattice.WorkloadID(o.id))
	if errors.Is(err, simhost.ErrNotRunning) {
		p.missed++ // a busy host has not started it yet, and will
		return nil
	}
	p.foreign = slices.Delete(p.foreign, i, i+1)
	return err
}

// rest waits until the lattice is as demanded and stays so in silence.
func (p *player) rest(ctx context.Context) error {
	begin := time.Now()
	settle, cancel := context.WithTimeoutCause(ctx, p.cfg.Settle, errRestless)
	defer cancel()
	wrong := func() []problem {
		problems, _ := check(p.sim, &p.plan.end, p.foreign)
		return problems
	}
	for {
		err := p.sim.WaitFor(settle, func() bool { return len(wrong()) == 0 })
		at, commands := time.Now(), len(p.sim.Commands())
		if err == nil {
			err = pause(settle, p.cfg.Quiet)
		}
		problems := wrong()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && len(problems) == 0 && len(p.sim.Commands()) == commands:
			p.settled = at.Sub(begin)
			return p.checkStatuses(ctx)
		case err == nil:
			continue
		}
		p.settled = p.cfg.Settle
		for _, problem := range problems {
			p.violate("state at rest", problem.about, "%s", problem.text)
		}
		if len(problems) == 0 {
			p.violate("no rest", "", "%d commands in the last %v", p.commandsSince(time.Now().Add(-p.cfg.Quiet)), p.cfg.Quiet)
		}
		return nil
	}
}

var errRestless = errors.New("no rest in time")

func (p *player) commandsSince(t time.Time) int {
	n := 0
	for _, r := range p.sim.Commands() {
		if r.Time.After(t) {
			n++
		}
	}
	return n
}

// statusPatience is how long a status may lag behind what the hosts run: an
// application counts as undeployed when no command without an answer can bring
// anything of it back, which takes the server's command deadline.
const statusPatience = 20 * time.Second

// checkStatuses compares what the API says of each application with the outlook.
func (p *player) checkStatuses(ctx context.Context) error {
	_, outlooks := check(p.sim, &p.plan.end, p.foreign)
	deadline := time.Now().Add(statusPatience)
	for _, name := range names(p.plan.end.apps) {
		want := tenancy.StatusUndeployed
		if p.plan.end.deployed[name] != nil {
			want = tenancy.StatusFailed
			if outlooks[name].satisfied {
				want = tenancy.StatusDeployed
			}
		}
		for {
			got, err := p.api.Status(ctx, name)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err == nil && got.Status.Type == want {
				break
			}
			if time.Now().After(deadline) {
				p.violate("status at rest", name, "%s is %s %q (%v), want %s", name, got.Status.Type, got.Status.Message, err, want)
				break
			}
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}
