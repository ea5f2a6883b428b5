package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"wadm/shard"
	"wadm/shard/natskv"
)

// carryOut lets everything of a schedule happen and waits until it is over.
func (r *runner) carryOut(ctx context.Context, s Schedule) {
	var wg sync.WaitGroup
	defer wg.Wait()
	begin := time.Now()
	if len(s) == 0 {
		sleep(ctx, r.cfg.Duration)
	}
	for _, f := range s {
		if !sleep(ctx, time.Until(begin.Add(f.At))) {
			return
		}
		r.cfg.Progress("%v", f)
		wg.Go(func() { r.happen(ctx, f) })
	}
}

// happen lets one fault begin and end, unless its target is taken.
func (r *runner) happen(ctx context.Context, f Fault) {
	d := happened{Fault: f, from: time.Now()}
	if !r.inflict(ctx, &d) {
		r.mu.Lock()
		r.skipped[f.Kind]++
		r.mu.Unlock()
		return
	}
	d.to = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, d)
	if f.Kind.OfNATS() {
		r.lastNATS = d.to
	}
}

// inflict is the fault; false: it did not happen.
func (r *runner) inflict(ctx context.Context, d *happened) bool {
	f := d.Fault
	switch f.Kind {
	case NATSKill, NATSRestart, NATSStop, NATSAll:
		return r.hurtNATS(ctx, d)
	case Busy:
		for i := range f.N {
			s := r.sites[(f.Target+i)%len(r.sites)]
			s.disturb(time.Now().Add(f.For + 3*time.Second))
			for _, h := range s.sim.Hosts() {
				_ = h.Mute(f.For) // a host that is gone is busy enough
			}
		}
		sleep(ctx, f.For)
		return true
	case Backlog:
		return r.backlog(f)
	case Churn:
		return r.churn(ctx, f)
	case Burst:
		return r.burst(ctx, f)
	case Odd:
		return r.odd(ctx, f)
	}
	in := r.base[f.Target%len(r.base)]
	d.cutOff = []shard.MemberID{shard.MemberID(in.id)}
	if !in.take(f.Kind) {
		return false
	}
	defer in.leave(f.Kind)
	r.hurtInstance(ctx, in, f)
	return true
}

func (r *runner) hurtInstance(ctx context.Context, in *instance, f Fault) {
	link := func(l Link) {
		l.Of = f.Of
		in.setLink(l)
		sleep(ctx, f.For)
		in.setLink(Link{})
	}
	switch f.Kind {
	case Kill:
		in.kill()
		sleep(ctx, f.For)
		r.restart(in)
	case Drain:
		r.drain(ctx, in)
		sleep(ctx, f.For)
		r.restart(in)
	case StopMidway:
		if !r.wire.stored(ctx, func(a appended) bool {
			c, ok := r.ledger.Held(a.key, a.epoch)
			return ok && string(c.Record.Owner) == in.id
		}) {
			return
		}
		in.signal(syscall.SIGSTOP)
		// Nothing is decided about the component while the command is in doubt.
		for _, s := range r.sites {
			if c, ok := r.ledger.Head(s.key); ok && string(c.Record.Owner) == in.id {
				for _, h := range s.sim.Hosts() {
					_ = h.RemoveProvider(providerID) // one of them has it
				}
			}
		}
		sleep(ctx, f.For)
		in.signal(syscall.SIGCONT)
	case Stop:
		in.signal(syscall.SIGSTOP)
		sleep(ctx, f.For)
		in.signal(syscall.SIGCONT)
	case Cut:
		link(Link{Cut: true})
	case Hold:
		link(Link{Hold: [2]bool{true, true}})
	case Delay:
		link(Link{Delay: time.Duration(f.N) * time.Millisecond})
	case Deaf:
		link(Link{Lose: [2]bool{Down: true}})
	case Mute:
		link(Link{Lose: [2]bool{Up: true}})
	case HalfOpen:
		link(Link{Lose: [2]bool{true, true}})
	}
}

func (r *runner) restart(in *instance) {
	if err := in.start(); err != nil {
		r.violate("restart instance %s: %v", in.id, err)
	}
}

// troubled tells whether NATS was in trouble since t: then giving everything up in
// order may fail.
func (r *runner) troubled(t time.Time) bool {
	if !r.natsBusy.TryLock() {
		return true
	}
	r.natsBusy.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	const recovery = 15 * time.Second
	return r.lastNATS.Add(recovery).After(t)
}

// hurtNATS hits one server, or all. Only one such fault happens at a time.
func (r *runner) hurtNATS(ctx context.Context, d *happened) bool {
	if !r.natsBusy.TryLock() {
		return false
	}
	defer r.natsBusy.Unlock()
	hit := r.servers.list
	if d.Kind != NATSAll {
		n := r.leader(ctx)
		if d.Target > 0 {
			n = (d.Target - 1) % len(hit)
		}
		hit = hit[n : n+1]
		if d.Kind == NATSStop {
			d.cutOff = r.through(n)
			_ = hit[0].proc.Signal(syscall.SIGSTOP)
			sleep(ctx, d.For)
			_ = hit[0].proc.Signal(syscall.SIGCONT)
			return true
		}
	}
	for _, n := range hit {
		if d.Kind == NATSRestart {
			n.stop(ctx)
		} else {
			n.proc.Kill()
		}
	}
	sleep(ctx, d.For)
	for _, n := range hit {
		if err := n.start(); err != nil {
			r.violate("restart NATS server %s: %v", n.name, err)
		}
	}
	// Replicas that are behind must not lose the next server before they caught up.
	for range 100 {
		limit, cancel := context.WithTimeout(ctx, time.Second)
		_, err := r.nc.JetStream().Stream(limit, natskv.DefaultLedger)
		cancel()
		if err == nil || !sleep(ctx, 50*time.Millisecond) {
			break
		}
	}
	return true
}

// leader is the number of the server that leads the ledger; the first when that is
// not known.
func (r *runner) leader(ctx context.Context) int {
	limit, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	st, err := r.nc.JetStream().Stream(limit, natskv.DefaultLedger)
	if err != nil || st.CachedInfo().Cluster == nil {
		return 0
	}
	return max(0, slices.IndexFunc(r.servers.list, func(n *natsServer) bool { return n.name == st.CachedInfo().Cluster.Leader }))
}

// through lists the instances that a server connects to the others.
func (r *runner) through(server int) (ids []shard.MemberID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, in := range slices.Concat(r.base, r.extra) {
		if in.proxies[server].carriesMain() {
			ids = append(ids, shard.MemberID(in.id))
		}
	}
	return ids
}

// backlog repeats one old event of a lattice many times at once.
func (r *runner) backlog(f Fault) bool {
	s := r.sites[f.Target%len(r.sites)]
	s.disturb(time.Now().Add(3 * time.Second))
	h := s.sim.Hosts()[0]
	at := time.Now().Add(-time.Minute)
	for i := range f.N {
		body := fmt.Appendf(nil, `{"specversion":"1.0","id":"backlog-%d-%d","source":"%s","type":"com.wasmcloud.lattice.component_scaled","time":"%s","datacontenttype":"application/json","data":{"host_id":"%s","component_id":"backlog","image_url":"registry.example.com/backlog:1","max_instances":%d,"annotations":{}}}`,
			f.At.Milliseconds(), i, h.ID(), at.Format(time.RFC3339Nano), h.ID(), i%3)
		if r.nc.Publish("wasmbus.evt."+s.sim.Name()+".component_scaled", body) != nil {
			break
		}
	}
	return true
}

// churn turns lattices over: what is deployed is undeployed, and the other way round.
func (r *runner) churn(ctx context.Context, f Fault) bool {
	if len(r.churning) == 0 {
		return false
	}
	var wg sync.WaitGroup
	for _, s := range r.churning[:min(f.N, len(r.churning))] {
		wg.Go(func() {
			if err := s.want(ctx, !s.isDeployed()); err != nil && ctx.Err() == nil {
				r.violate("churn: %v", err)
			}
		})
	}
	wg.Wait()
	return true
}

// burst starts new instances at once and drains them at once.
func (r *runner) burst(ctx context.Context, f Fault) bool {
	var ins []*instance
	for range f.N {
		in := r.newcomer("x", r.cfg.Binary)
		if in == nil {
			return true
		}
		ins = append(ins, in)
	}
	sleep(ctx, f.For)
	var wg sync.WaitGroup
	for _, in := range ins {
		wg.Go(func() { r.drain(ctx, in) })
	}
	wg.Wait()
	return true
}

// odd lets an instance with another ring run for a while. That it takes part in
// nothing is judged in the end.
func (r *runner) odd(ctx context.Context, f Fault) bool {
	in := r.newcomer(oddPrefix, r.cfg.Odd)
	if in == nil {
		return true
	}
	sleep(ctx, f.For)
	limit, cancel := context.WithTimeout(ctx, 2*time.Second)
	status, body, err := in.page(limit, "/readyz")
	cancel()
	if err == nil && status == http.StatusOK {
		r.violate("I7: %s, whose ring is another, says that it is ready: %.300s", in.id, body)
	}
	r.drain(ctx, in)
	return true
}

// oddPrefix begins the names of instances with another ring.
const oddPrefix = "odd"

// newcomer starts an instance that was not there from the start; nil: it could not.
func (r *runner) newcomer(prefix, binary string) *instance {
	r.mu.Lock()
	r.newcomers++
	id := fmt.Sprintf("%s%d", prefix, r.newcomers)
	r.mu.Unlock()
	in, err := r.spawn(id)
	if err != nil {
		r.violate("start instance %s: %v", id, err)
		return nil
	}
	in.binary = binary
	r.mu.Lock()
	r.extra = append(r.extra, in)
	r.mu.Unlock()
	r.restart(in)
	return in
}

// drain stops an instance in order, which must work unless NATS is in trouble, or
// the way to it.
func (r *runner) drain(ctx context.Context, in *instance) {
	at := time.Now()
	before, broken := in.linked()
	code, err := in.drain(ctx)
	if after, _ := in.linked(); (err != nil || code != 0) && !broken && after == before && !r.troubled(at) {
		r.violate("drain: instance %s ended with %d, %v; log:\n%s", in.id, code, err, in.log(2500))
	}
}
