package scheduler_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/lattice"
	"wadm/scheduler/natsjs"
	"wadm/shard/natskv"
	"wadm/tenancy/api"
)

// behind are ports with commands for several components of one application, of
// which first holds up the others.
func behind(first func()) *ports {
	p := newPorts()
	shop := p.apps["shop"]
	for _, name := range []string{"more", "most"} {
		one := shop.Spec.Components[0]
		one.Name = name
		shop.Spec.Components = append(shop.Spec.Components, one)
	}
	var once sync.Once
	p.send = func(lattice.Command) lattice.Reply {
		once.Do(first)
		return lattice.Reply{Outcome: lattice.Accepted}
	}
	return p
}

// ownOneByOne runs an owner that sends one command at a time.
func ownOneByOne(t *testing.T, p *ports, l scheduler.Ledger, epoch uint64) (done chan error, cancel context.CancelFunc) {
	t.Helper()
	s, err := scheduler.New(scheduler.Deps{Ledger: l, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)},
		scheduler.Config{Requests: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done = make(chan error, 1)
	go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: epoch}) }()
	return done, cancel
}

// TestACommandThatHadToWaitLeavesOnlyUnderAConfirmedClaim: long after its append a
// newer owner may act, of which this one has not heard.
func TestACommandThatHadToWaitLeavesOnlyUnderAConfirmedClaim(t *testing.T) {
	t.Parallel()
	fenced := func(context.Context) error { return scheduler.ErrFenced }
	slow := func(d time.Duration) func(context.Context) error {
		return func(context.Context) error { time.Sleep(d); return nil }
	}
	for _, c := range []struct {
		name string
		// answer is how long the answer to an append takes, wait how long the first
		// command holds up the others.
		answer, wait time.Duration
		confirm      func(context.Context) error
		// sends and confirms are what has happened after ten seconds; -1: any number.
		sends, confirms int
		end             error
	}{
		{"it did not wait", 0, 100 * time.Millisecond, nil, 3, 0, nil},
		{"the claim is the newest", 0, 300 * time.Millisecond, nil, 3, 1, nil},
		{"there is a newer claim", 0, 300 * time.Millisecond, fenced, 1, 1, scheduler.ErrFenced},
		{"the answer came late", 900 * time.Millisecond, 0, nil, 3, 1, nil},
		{"a newer claim was made before the answer", 900 * time.Millisecond, 0, fenced, 0, 1, scheduler.ErrFenced},
		// One confirmation is no fresher than its beginning either.
		{"confirmations are slow", 900 * time.Millisecond, 0, slow(900 * time.Millisecond), 3, 3, nil},
		{"confirmations are too slow", 900 * time.Millisecond, 0, slow(1100 * time.Millisecond), 0, -1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := behind(func() { time.Sleep(c.wait) })
				p.append = func([]lattice.Command) error { time.Sleep(c.answer); return nil }
				p.confirm = c.confirm
				done, cancel := ownOneByOne(t, p, p, 7)
				defer cancel()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if s, n := p.count("send"), p.count("confirm"); s != c.sends || c.confirms >= 0 && n != c.confirms {
					t.Errorf("%d sent, %d confirmations; want %d, %d: %v", s, n, c.sends, c.confirms, p.calls)
				}
				cancel()
				if err := <-done; !errors.Is(err, c.end) {
					t.Errorf("own ended with %v, want %v", err, c.end)
				}
			})
		})
	}
	t.Run("the ledger is silent", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := behind(func() { time.Sleep(300 * time.Millisecond) })
			began := time.Now()
			p.confirm = func(ctx context.Context) error {
				<-ctx.Done()
				return scheduler.ErrUnknownOutcome
			}
			done, cancel := ownOneByOne(t, p, p, 7)
			defer cancel()
			time.Sleep(1200 * time.Millisecond)
			synctest.Wait()
			if p.count("send") != 1 {
				t.Errorf("sent without an answer: %v", p.calls)
			}
			// Held back, they are decided anew, and what is appended anew may leave.
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if p.count("send") != 3 || p.count("append") < 2 {
				t.Errorf("%v after the start: %v", time.Since(began), p.calls)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
}

// patient asks whether a command may leave once more after a while, as for one that
// any host may answer.
type patient struct {
	*ports
	again chan error
}

func (p patient) Send(_ context.Context, c scheduler.Claim, _ lattice.Command) lattice.Reply {
	time.Sleep(time.Second)
	p.again <- c.MayAct()
	return lattice.Reply{Outcome: lattice.Unknown}
}

func TestACommandIsSentAgainOnlyUnderAConfirmedClaim(t *testing.T) {
	t.Parallel()
	for _, want := range []error{nil, scheduler.ErrFenced, scheduler.ErrUnknownOutcome} {
		synctest.Test(t, func(t *testing.T) {
			p := patient{newPorts(), make(chan error, 1)}
			p.confirm = func(context.Context) error { return want }
			s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)}, scheduler.Config{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 7}) }()
			if got := <-p.again; !errors.Is(got, want) || p.count("confirm") != 1 {
				t.Errorf("asked again: %v, want %v; %v", got, want, p.calls)
			}
			cancel()
			<-done //nolint:errcheck // it was cancelled, so its error says nothing
		})
	}
}

// TestACommandThatHadToWaitIsNotSentAfterANewerClaim: the ledger of a real server,
// and an owner that nobody has told of its successor.
func TestACommandThatHadToWaitIsNotSentAfterANewerClaim(t *testing.T) {
	t.Parallel()
	for _, newer := range []bool{false, true} {
		t.Run(map[bool]string{false: "none", true: "newer"}[newer], func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			js := srv.JetStream(t)
			if _, err := natskv.EnsureStream(t.Context(), js, natskv.LedgerConfig(natskv.DefaultLedger, 1, jetstream.MemoryStorage)); err != nil {
				t.Fatal(err)
			}
			streams, err := natsjs.New(t.Context(), srv.Connect(t), natsjs.Config{Ledger: natskv.DefaultLedger, Status: api.Streams{}.StatusStream()})
			if err != nil {
				t.Fatal(err)
			}
			claim := func() uint64 {
				ack, err := js.Publish(t.Context(), "wadm.own."+key.Token(), nil)
				if err != nil {
					t.Error(err)
					return 0
				}
				return ack.Sequence
			}
			epoch := claim()
			p := behind(func() {
				if newer {
					claim()
				}
				time.Sleep(300 * time.Millisecond) // the host's, not the test's
			})
			done, cancel := ownOneByOne(t, p, natsjs.NewLedger(streams), epoch)
			defer cancel()
			if newer {
				select {
				case err := <-done:
					if !errors.Is(err, scheduler.ErrFenced) {
						t.Errorf("own ended with %v", err)
					}
				case <-time.After(10 * time.Second):
					t.Errorf("the owner does not notice: %v", p.calls)
				}
				if n := p.count("send"); n != 1 {
					t.Errorf("%d commands left, all but one after the newer claim", n)
				}
				return
			}
			for end := time.Now().Add(10 * time.Second); p.count("send") < 3; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("not all left: %v", p.calls)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
