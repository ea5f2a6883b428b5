package scheduler_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wadm/scheduler"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

var key = tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: "default"}

// ports are all adapters at once: one host "h" that accepts everything, one
// deployed application, and hooks to make any of it fail.
type ports struct {
	mu    sync.Mutex
	calls []string

	append  func([]lattice.Command) error
	confirm func(context.Context) error
	save    func([]byte) error
	state   []byte
	send    func(lattice.Command) lattice.Reply
	flush   func(ctx context.Context, newest time.Time) error
	status  func(tenancy.Status)
	apps    map[string]*manifest.Manifest

	events chan scheduler.Delivery
}

func newPorts() *ports {
	image := "web:1"
	m := &manifest.Manifest{APIVersion: "v1", Kind: "Application", Metadata: manifest.Metadata{Name: "shop"}}
	m.Spec.Components = []manifest.Component{{
		Name: "web", Type: manifest.TypeComponent, Properties: manifest.Properties{Image: &image},
		Traits: []manifest.Trait{{Type: manifest.TraitSpreadScaler, Spread: &manifest.SpreadScaler{Instances: 1}}},
	}}
	return &ports{events: make(chan scheduler.Delivery), apps: map[string]*manifest.Manifest{"shop": m}}
}

func (p *ports) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, fmt.Sprintf(format, args...))
}

func (p *ports) count(call string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if c == call {
			n++
		}
	}
	return n
}

func (p *ports) Append(_ context.Context, _ scheduler.Claim, cmds []lattice.Command) error {
	p.note("append")
	if p.append != nil {
		return p.append(cmds)
	}
	return nil
}
func (p *ports) ProveClaim(ctx context.Context, _ scheduler.Claim) error {
	p.note("confirm")
	if p.confirm != nil {
		return p.confirm(ctx)
	}
	return nil
}
func (p *ports) Resolve(context.Context, scheduler.Claim, []string) error {
	p.note("resolve")
	return nil
}
func (p *ports) Settle(_ context.Context, _ scheduler.Claim, ids []string) error {
	p.note("settle %v", ids)
	return nil
}
func (p *ports) InDoubt(context.Context, scheduler.Claim) ([]lattice.Command, error) { return nil, nil }
func (p *ports) SaveState(_ context.Context, _ scheduler.Claim, b []byte) error {
	p.note("save")
	if p.save != nil {
		return p.save(b)
	}
	return nil
}
func (p *ports) LoadState(context.Context, scheduler.Claim) ([]byte, error) { return p.state, nil }

func (p *ports) Attach(ctx context.Context, _ scheduler.Claim, deliver func(scheduler.Delivery), gap func()) error {
	gap()
	for {
		select {
		case d := <-p.events:
			deliver(d)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *ports) Send(_ context.Context, _ scheduler.Claim, c lattice.Command) lattice.Reply {
	p.note("send")
	if p.send != nil {
		return p.send(c)
	}
	return lattice.Reply{Outcome: lattice.Accepted}
}
func (p *ports) Flush(ctx context.Context, newest time.Time) error {
	p.note("flush")
	if p.flush != nil {
		return p.flush(ctx, newest)
	}
	return nil
}
func (p *ports) Ping(context.Context, tenancy.LatticeKey, []lattice.HostID) ([]lattice.HostID, error) {
	return []lattice.HostID{"h"}, nil
}
func (p *ports) Inventory(_ context.Context, _ tenancy.LatticeKey, h lattice.HostID) (lattice.Inventory, error) {
	p.note("inventory")
	return lattice.Inventory{Host: h, Labels: map[string]string{}}, nil
}
func (p *ports) Links(context.Context, tenancy.LatticeKey) ([]lattice.Link, error) { return nil, nil }
func (p *ports) Config(context.Context, tenancy.LatticeKey, string) (map[string]string, bool, error) {
	return nil, false, nil
}
func (p *ports) Deployed(context.Context, tenancy.LatticeKey) (map[string]*manifest.Manifest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.apps, nil
}
func (p *ports) Watch(ctx context.Context, _ tenancy.LatticeKey, _ func()) error {
	<-ctx.Done()
	return context.Cause(ctx)
}
func (p *ports) Cause(tenancy.LatticeKey, string) (id, traceparent string) { return "", "" }
func (p *ports) Publish(_ context.Context, _ tenancy.LatticeKey, _ string, s tenancy.Status) error {
	p.note("publish")
	if p.status != nil {
		p.status(s)
	}
	return nil
}

// own runs a worker over the ports and returns its end.
func own(t *testing.T, p *ports, c scheduler.Claim) (done chan error, cancel context.CancelFunc) {
	t.Helper()
	s := newScheduler(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	done = make(chan error, 1)
	c.Key, c.Epoch = key, 7
	go func() { done <- s.Own(ctx, c) }()
	return done, cancel
}

func newScheduler(t *testing.T, p *ports) *scheduler.Scheduler {
	t.Helper()
	s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)}, scheduler.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// event is a host event as it comes off the wire.
func event(t *testing.T, kind lattice.EventKind, data any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"specversion": "1.0", "id": "1", "type": lattice.TypePrefix + string(kind), "source": "h",
		"datacontenttype": "application/json", "time": time.Now().Format(time.RFC3339Nano), "data": data})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func heartbeat(t *testing.T, components ...any) []byte {
	if components == nil {
		components = []any{}
	}
	return event(t, lattice.HostHeartbeat, map[string]any{"components": components, "providers": []any{}, "host_id": "h",
		"friendly_name": "h", "labels": map[string]string{}, "version": "1.9.2", "uptime_human": "1s", "uptime_seconds": 1})
}

func TestNothingIsSentBeforeItIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		stored := make(chan struct{})
		p.append = func([]lattice.Command) error { <-stored; return nil }
		done, cancel := own(t, p, scheduler.Claim{})
		synctest.Wait()
		if p.count("append") != 1 || p.count("send") != 0 {
			t.Fatalf("while the append is open: %v", p.calls)
		}
		close(stored)
		synctest.Wait()
		if p.count("send") != 1 {
			t.Fatalf("after the append: %v", p.calls)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("own ended with %v", err)
		}
	})
}

// TestRefusedWritesEndTheOwner covers the two ways in which a write can fail:
// nothing of the decision leaves, and the event that led to it stays unacknowledged.
func TestRefusedWritesEndTheOwner(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{scheduler.ErrFenced, scheduler.ErrUnknownOutcome} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPorts()
				p.append = func([]lattice.Command) error { return fmt.Errorf("append: %w", cause) }
				done, cancel := own(t, p, scheduler.Claim{})
				defer cancel()
				if err := <-done; !errors.Is(err, cause) {
					t.Errorf("own ended with %v, want %v", err, cause)
				}
				if p.count("send") != 0 {
					t.Errorf("something was sent: %v", p.calls)
				}
			})
		})
	}
}

func TestEventIsAcknowledgedAfterItsCommandsAreStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		var broken atomic.Bool
		p.append = func([]lattice.Command) error {
			if broken.Load() {
				return fmt.Errorf("append: %w", scheduler.ErrUnknownOutcome)
			}
			return nil
		}
		done, cancel := own(t, p, scheduler.Claim{})
		synctest.Wait()
		p.events <- scheduler.Delivery{Data: heartbeat(t), Ack: func() {}} // tells the host's clock
		synctest.Wait()
		// The command of the start is confirmed, then the instance dies.
		broken.Store(true)
		ann := map[string]string{}
		scaled := func(n int) scheduler.Delivery {
			return scheduler.Delivery{Data: event(t, lattice.ComponentScaled, map[string]any{
				"component_id": "shop-web", "image_ref": "web:1", "max_instances": n, "annotations": ann, "host_id": "h"}), Ack: func() { p.note("ack %d", n) }}
		}
		p.events <- scaled(1)
		synctest.Wait()
		time.Sleep(time.Second)
		p.events <- scaled(0)
		if err := <-done; !errors.Is(err, scheduler.ErrUnknownOutcome) {
			t.Errorf("own ended with %v", err)
		}
		if p.count("ack 1") != 1 || p.count("ack 0") != 0 {
			t.Errorf("acknowledged: %v", p.calls)
		}
		cancel()
	})
}

func TestGuardHoldsEffectsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		var gathered bool
		done, cancel := own(t, p, scheduler.Claim{Guard: &scheduler.Guard{
			AwaitEffects: func(ctx context.Context) error {
				select {
				case <-time.After(10 * time.Second):
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			},
			MayAct:    func() error { return errors.New("health in doubt") },
			Recovered: func() { gathered = true },
		}})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if p.count("append") != 0 || p.count("inventory") == 0 {
			t.Fatalf("during the quarantine: %v", p.calls)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if p.count("append") == 0 || p.count("send") != 0 || !gathered {
			t.Fatalf("after it, without permission: %v", p.calls)
		}
		cancel()
		<-done //nolint:errcheck // it was cancelled, so its error says nothing
	})
}

func TestQuietHeartbeatTouchesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		p.apps = nil
		done, cancel := own(t, p, scheduler.Claim{})
		deliver := func() {
			p.events <- scheduler.Delivery{Data: heartbeat(t), Ack: func() { p.note("ack") }}
			synctest.Wait()
		}
		deliver()
		time.Sleep(15 * time.Second)
		deliver()
		synctest.Wait()
		before := len(p.calls)
		for range 100 {
			time.Sleep(10 * time.Second)
			deliver()
			// The time of the catalog's and the inventory's own rhythm is not the heartbeats'.
			if time.Since(start(t)) > 2*time.Minute {
				break
			}
		}
		if got, acks := len(p.calls)-before, p.count("ack")-2; got != acks {
			t.Errorf("%d calls besides %d acknowledgements: %v", got-acks, acks, p.calls[before:])
		}
		cancel()
		<-done //nolint:errcheck // it was cancelled, so its error says nothing
	})
}

// start is the bubble's beginning of time.
func start(t *testing.T) time.Time {
	t.Helper()
	return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
}

func TestPanicStaysInItsLatticeAndRestsAfterRepetition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		p.save = func([]byte) error { panic("boom") }
		s := newScheduler(t, p)
		for i := range 3 {
			if err := s.Own(t.Context(), scheduler.Claim{Key: key, Epoch: uint64(i)}); err == nil {
				t.Fatal("a panic was taken for success")
			}
		}
		began := time.Now()
		if err := s.Own(t.Context(), scheduler.Claim{Key: key, Epoch: 9}); err == nil {
			t.Fatal("a panic was taken for success")
		}
		if rest := time.Since(began); rest < time.Minute {
			t.Errorf("the fourth try came after %v", rest)
		}
		if n := s.Stats.Panics.Load(); n != 4 {
			t.Errorf("%d panics counted, want 4", n)
		}
	})
}

func TestUnreadableSnapshotIsSetAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		p.state = []byte("{not json")
		done, cancel := own(t, p, scheduler.Claim{})
		synctest.Wait()
		if p.count("send") != 1 {
			t.Errorf("nothing was decided: %v", p.calls)
		}
		cancel()
		<-done //nolint:errcheck // it was cancelled, so its error says nothing
	})
}

func TestASnapshotThatIsTooLargeIsStoredWithoutHosts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		var tried, stored [][]byte
		p.save = func(b []byte) error {
			tried = append(tried, b)
			if bytes.Contains(b, []byte(`"hosts"`)) {
				return fmt.Errorf("save state: %w", scheduler.ErrTooLarge)
			}
			stored = append(stored, b)
			return nil
		}
		done, cancel := own(t, p, scheduler.Claim{})
		time.Sleep(time.Minute) // of the bubble: the snapshot falls due
		synctest.Wait()
		if len(stored) == 0 || !bytes.Contains(stored[len(stored)-1], []byte("shop")) {
			t.Errorf("stored: %s", stored)
		}
		if p.count("send") != 1 {
			t.Errorf("nothing was decided: %v", p.calls)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("own ended with %v", err)
		}
		if len(tried) != len(stored)+1 {
			t.Errorf("the hosts were tried %d times, want once", len(tried)-len(stored))
		}
	})
}

// TestASnapshotThatCannotBeStoredIsTriedAgain: what is only noted for a successor
// is worth no change of owners while NATS is in trouble.
func TestASnapshotThatCannotBeStoredIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		tried := 0
		p.save = func([]byte) error {
			// The first is stored before the commands that it explains.
			switch tried++; tried {
			case 2:
				return errors.New("no response from stream")
			case 3:
				return fmt.Errorf("no answer: %w", scheduler.ErrUnknownOutcome)
			}
			return nil
		}
		done, cancel := own(t, p, scheduler.Claim{})
		synctest.Wait()
		p.events <- scheduler.Delivery{Data: heartbeat(t), Ack: func() {}} // tells the host's clock
		synctest.Wait()
		p.events <- scheduler.Delivery{Data: event(t, lattice.ComponentScaled, map[string]any{
			"component_id": "shop-web", "image_ref": "web:1", "max_instances": 1, "annotations": map[string]string{}, "host_id": "h"}), Ack: func() {}}
		time.Sleep(time.Minute) // of the bubble: the snapshot falls due
		synctest.Wait()
		if tried < 4 {
			t.Errorf("tried %d times, want more than the two that failed", tried)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("own ended with %v", err)
		}
	})
}

// TestWhatGoesOneByOneIsStoredTogether: links that are deleted one after the other
// cost a few snapshots, and the last one knows of all.
func TestWhatGoesOneByOneIsStoredTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		const links = 50
		shop := p.apps["shop"]
		for i := range links {
			name := fmt.Sprintf("link%d", i)
			shop.Spec.Components[0].Traits = append(shop.Spec.Components[0].Traits, manifest.Trait{Type: manifest.TraitLink,
				Link: &manifest.Link{Name: &name, Namespace: "wasi", Package: "http", Interfaces: []string{"x"}, Target: manifest.LinkTarget{Name: "web"}}})
		}
		var answered atomic.Int64
		p.send = func(c lattice.Command) lattice.Reply {
			if c.Kind == lattice.DeleteLink {
				time.Sleep(time.Duration(answered.Add(1)) * 10 * time.Millisecond) // of the bubble: the answers come apart
			}
			return lattice.Reply{Outcome: lattice.Accepted}
		}
		var saves int
		var last []byte
		p.save = func(b []byte) error {
			saves, last = saves+1, b
			return nil
		}
		done, cancel := own(t, p, scheduler.Claim{})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := bytes.Count(last, []byte(`"owner":"shop"`)); n != links {
			t.Fatalf("%d links are stored: %s", n, last)
		}
		saves = 0
		p.mu.Lock()
		p.apps = nil
		p.mu.Unlock()
		time.Sleep(2 * time.Minute) // until the catalog has been read again
		synctest.Wait()
		if n := answered.Load(); n != links {
			t.Errorf("%d links were deleted", n)
		}
		if bytes.Contains(last, []byte(`"links"`)) {
			t.Errorf("stored in the end: %s", last)
		}
		if saves > 5 {
			t.Errorf("%d snapshots were stored", saves)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("own ended with %v", err)
		}
	})
}

// TestNewestStatusReplacesTheWaitingOne: while a publication does not end, the
// status changes four times. Of these only the last is published, and it is the
// one that holds.
func TestNewestStatusReplacesTheWaitingOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		var mu sync.Mutex
		var told []tenancy.StatusType
		open := make(chan struct{})
		p.status = func(s tenancy.Status) {
			<-open
			mu.Lock()
			defer mu.Unlock()
			told = append(told, s.Status.Type)
		}
		var annotations map[string]string
		p.append = func(cmds []lattice.Command) error { annotations = cmds[0].Annotations; return nil }
		done, cancel := own(t, p, scheduler.Claim{})
		synctest.Wait()
		for _, n := range []int{1, 0, 1, 0, 1} {
			time.Sleep(time.Second)
			p.events <- scheduler.Delivery{Data: event(t, lattice.ComponentScaled, map[string]any{
				"component_id": "shop-web", "image_ref": "web:1", "max_instances": n, "host_id": "h", "annotations": annotations}), Ack: func() {}}
			synctest.Wait()
		}
		if n := p.count("publish"); n != 1 {
			t.Errorf("%d publications while the first has not ended", n)
		}
		close(open)
		time.Sleep(time.Second) // of the bubble
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]tenancy.StatusType{tenancy.StatusReconciling, tenancy.StatusDeployed}, told); diff != "" {
			t.Error(diff)
		}
		cancel()
		<-done //nolint:errcheck // it was cancelled, so its error says nothing
	})
}

func TestTextsOfStatusesArePublishedAtAHumanPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		var mu sync.Mutex
		var types []tenancy.StatusType
		p.status = func(s tenancy.Status) {
			mu.Lock()
			defer mu.Unlock()
			types = append(types, s.Status.Type)
		}
		n := uint64(40)
		p.apps["shop"].Spec.Components[0].Traits[0] = manifest.Trait{Type: manifest.TraitDaemonScaler, Spread: &manifest.SpreadScaler{Instances: n}}
		done, cancel := own(t, p, scheduler.Claim{})
		synctest.Wait()
		// Forty hosts join within 400 ms; each changes the text.
		for i := range 40 {
			id := fmt.Sprintf("h%d", i)
			b := event(t, lattice.HostStarted, map[string]any{"friendly_name": id, "labels": map[string]string{}, "version": "1.9.2", "uptime_seconds": 0})
			var ev map[string]any
			if err := json.Unmarshal(b, &ev); err != nil {
				t.Fatal(err)
			}
			ev["source"] = id
			b, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			p.events <- scheduler.Delivery{Data: b, Ack: func() {}}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(types) < 2 || len(types) > 10 {
			t.Errorf("%d statuses published: %v", len(types), types)
		}
		cancel()
		<-done //nolint:errcheck // it was cancelled, so its error says nothing
	})
}
