package scheduler_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wadm/scheduler"
	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// TestACommandThatWaitedTooLongForItsTurnIsNotSent: the decision has given it up
// and made another, so it would come on top of that.
func TestACommandThatWaitedTooLongForItsTurnIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		second := p.apps["shop"].Spec.Components[0]
		second.Name = "more"
		p.apps["shop"].Spec.Components = append(p.apps["shop"].Spec.Components, second)
		var late []string
		p.send = func(c lattice.Command) lattice.Reply {
			if time.Since(c.SentAt) >= time.Minute {
				p.note("late %s", c.ID)
				late = append(late, c.ID)
			}
			if p.count("send") == 1 {
				time.Sleep(3 * time.Minute)
			}
			return lattice.Reply{Outcome: lattice.Unknown}
		}
		s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)},
			scheduler.Config{Requests: 1, Core: core.Config{CommandDeadline: time.Minute}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 7}) }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if p.count("send") < 2 || len(late) > 0 {
			t.Errorf("sent after their deadline: %v; all: %v", late, p.calls)
		}
	})
}

// panicky panics where answers of hosts are read: in a goroutine of its own.
type panicky struct{ *ports }

func (panicky) Inventory(context.Context, tenancy.LatticeKey, lattice.HostID) (lattice.Inventory, error) {
	panic("boom")
}

func TestAPanicBesideTheWorkerStaysInItsLatticeToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := panicky{newPorts()}
		s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)}, scheduler.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Own(t.Context(), scheduler.Claim{Key: key, Epoch: 1}); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("own ended with %v, want the panic", err)
		}
		if n := s.Stats.Panics.Load(); n != 1 {
			t.Errorf("%d panics counted, want 1", n)
		}
	})
}

func TestAnOwnerInDoubtPublishesNoStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		var well atomic.Bool
		done, cancel := own(t, p, scheduler.Claim{Guard: &scheduler.Guard{MayAct: func() error {
			if well.Load() {
				return nil
			}
			return errors.New("health in doubt")
		}}})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if p.count("publish") != 0 {
			t.Errorf("in doubt: %v", p.calls)
		}
		well.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if p.count("publish") == 0 {
			t.Errorf("no longer in doubt: %v", p.calls)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestACommandThatIsKeptBackIsDecidedAnew: nothing has left, so its host is as good
// as before and the command need not wait for its deadline.
func TestACommandThatIsKeptBackIsDecidedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		doubtful := time.Now().Add(300 * time.Millisecond)
		var sent time.Time
		p.send = func(lattice.Command) lattice.Reply {
			sent = time.Now()
			return lattice.Reply{}
		}
		done, cancel := own(t, p, scheduler.Claim{Guard: &scheduler.Guard{MayAct: func() error {
			if time.Now().Before(doubtful) {
				return errors.New("health in doubt")
			}
			return nil
		}}})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := p.count("append"); n != 2 || sent.IsZero() || sent.Sub(doubtful) > 2*time.Second {
			t.Errorf("sent at %v after %d appends, want soon after %v and stored anew", sent, n, doubtful)
		}
		cancel()
		<-done //nolint:errcheck // it was cancelled, so its error says nothing
	})
}

// TestACommandTooLargeForTheLedgerFailsAlone: its application fails, the lattice
// keeps its owner and the other commands go.
func TestACommandTooLargeForTheLedgerFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		image := "big:1"
		big := &manifest.Manifest{APIVersion: "v1", Kind: "Application", Metadata: manifest.Metadata{Name: "big"}}
		big.Spec.Components = []manifest.Component{{
			Name: "big", Type: manifest.TypeComponent, Properties: manifest.Properties{Image: &image},
			Traits: []manifest.Trait{{Type: manifest.TraitSpreadScaler, Spread: &manifest.SpreadScaler{Instances: 1}}},
		}}
		p.apps["big"] = big
		p.append = func(cmds []lattice.Command) error {
			if slices.ContainsFunc(cmds, func(c lattice.Command) bool { return c.App == "big" }) {
				return fmt.Errorf("append: %w", scheduler.ErrTooLarge)
			}
			return nil
		}
		var sent []string
		p.send = func(c lattice.Command) lattice.Reply {
			sent = append(sent, c.App)
			return lattice.Reply{}
		}
		said := map[tenancy.StatusType]bool{}
		p.status = func(s tenancy.Status) {
			if strings.Contains(s.Status.Message, "too large") {
				said[s.Status.Type] = true
			}
		}
		done, cancel := own(t, p, scheduler.Claim{})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !slices.Equal(sent, []string{"shop"}) || !said[tenancy.StatusFailed] {
			t.Errorf("sent for %v, statuses about it: %v", sent, said)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the owner ended: %v", err)
		}
	})
}

// mute has a second host, which answers no question; once it is deep asleep,
// it does not even say so.
type mute struct {
	*ports
	deep *atomic.Bool
}

func (m mute) Ping(context.Context, tenancy.LatticeKey, []lattice.HostID) ([]lattice.HostID, error) {
	return []lattice.HostID{"h", "mute"}, nil
}

func (m mute) Inventory(ctx context.Context, key tenancy.LatticeKey, h lattice.HostID) (lattice.Inventory, error) {
	if h == "mute" {
		m.note("ask")
		if m.deep.Load() {
			<-ctx.Done()
		}
		return lattice.Inventory{}, scheduler.ErrNoAnswer
	}
	return m.ports.Inventory(ctx, key, h)
}

func TestQuestionsWithoutAnswerHoldUpNoCommand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := mute{newPorts(), new(atomic.Bool)}
		apps := p.apps
		p.apps = nil
		s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)},
			scheduler.Config{Requests: 1, Reread: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 7}) }()
		time.Sleep(time.Second)
		p.deep.Store(true)
		before := p.count("ask")
		beat := func() {
			p.events <- scheduler.Delivery{Data: heartbeat(t), Ack: func() {}}
			time.Sleep(10 * time.Second)
		}
		for i := 0; p.count("ask") == before && i < 60; i++ {
			beat()
		}
		if p.count("ask") == before {
			t.Error("the mute host is not asked again")
		}
		p.mu.Lock()
		p.apps = apps
		p.mu.Unlock()
		for range 3 {
			beat()
		}
		synctest.Wait()
		if p.count("append") == 0 || p.count("send") == 0 {
			t.Errorf("no command left: %v", p.calls)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestWhatNeverLeftIsNotInDoubtAfterAHandOver: a successor can't tell a command
// that waited for its turn from one that a host is carrying out, so the owner that
// leaves in order tells it. What has left stays in doubt, and a claim that is lost
// notes nothing.
func TestWhatNeverLeftIsNotInDoubtAfterAHandOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// cut ends the claim while the commands are being stored.
		cut   bool
		cause error
		sent  int
		notes int
	}{
		{"given up", false, errors.New("handed over"), 1, 2},
		{"given up during the append", true, errors.New("handed over"), 0, 3},
		{"lost", false, scheduler.ErrFenced, 1, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPorts()
				shop := p.apps["shop"]
				for _, name := range []string{"more", "most"} {
					one := shop.Spec.Components[0]
					one.Name = name
					shop.Spec.Components = append(shop.Spec.Components, one)
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var stored []string
				p.append = func(cmds []lattice.Command) error {
					for _, cmd := range cmds {
						stored = append(stored, cmd.ID)
					}
					if c.cut {
						cancel(c.cause)
						return scheduler.ErrUnknownOutcome
					}
					return nil
				}
				p.send = func(cmd lattice.Command) lattice.Reply {
					stored = slices.DeleteFunc(stored, func(id string) bool { return id == cmd.ID })
					<-ctx.Done()
					return lattice.Reply{Outcome: lattice.Unknown}
				}
				s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)},
					scheduler.Config{Requests: 1, Core: core.Config{CommandDeadline: time.Hour}})
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 7}) }()
				time.Sleep(10 * time.Second)
				synctest.Wait()
				cancel(c.cause)
				if err := <-done; err != nil && !errors.Is(err, c.cause) {
					t.Error(err)
				}
				slices.Sort(stored)
				noted := p.count(fmt.Sprintf("settle %v", stored))
				if p.count("send") != c.sent || c.notes >= 0 && (noted != 1 || len(stored) != c.notes) || c.notes < 0 && noted != 0 {
					t.Errorf("not sent: %v; all: %v", stored, p.calls)
				}
			})
		})
	}
}

// unanswering are ports of which one never answers.
type unanswering struct {
	*ports
	which string
}

func (u unanswering) answers(ctx context.Context, which string) error {
	if u.which != which {
		return nil
	}
	u.note("silence")
	<-ctx.Done()
	return context.Cause(ctx)
}

func (u unanswering) Ping(ctx context.Context, key tenancy.LatticeKey, known []lattice.HostID) ([]lattice.HostID, error) {
	if err := u.answers(ctx, "hosts"); err != nil {
		return nil, err
	}
	return u.ports.Ping(ctx, key, known)
}

func (u unanswering) Deployed(ctx context.Context, key tenancy.LatticeKey) (map[string]*manifest.Manifest, error) {
	if err := u.answers(ctx, "catalog"); err != nil {
		return nil, err
	}
	return u.ports.Deployed(ctx, key)
}

func (u unanswering) Send(ctx context.Context, c scheduler.Claim, cmd lattice.Command) lattice.Reply {
	if err := u.answers(ctx, "command"); err != nil {
		return lattice.Reply{Outcome: lattice.Unknown, Message: err.Error()}
	}
	return u.ports.Send(ctx, c, cmd)
}

// TestToStopInTheMiddleIsNoFailure: a log that tells what went wrong does not tell
// of what nobody waited for any more.
func TestToStopInTheMiddleIsNoFailure(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"hosts", "catalog", "command"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := unanswering{newPorts(), which}
				var log bytes.Buffer
				s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p,
					Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))}, scheduler.Config{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 7}) }()
				synctest.Wait()
				if p.count("silence") != 1 {
					t.Fatalf("nothing waits for an answer: %v", p.calls)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if log.Len() > 0 {
					t.Errorf("the log of an orderly stop:\n%s", log.String())
				}
			})
		})
	}
}

// TestAnOwnerEndsWhenWhatItSentHasArrived: the release of its claim follows at once,
// and its successor's commands the release.
func TestAnOwnerEndsWhenWhatItSentHasArrived(t *testing.T) {
	t.Parallel()
	lost := errors.New("no answer to the ping")
	for _, c := range []struct {
		name  string
		cause error
		// after is how long the owner goes on after its only command has left.
		after time.Duration
		flush func(context.Context, time.Time) error
		// flushes, took and want are how often it asks, how long it takes to end, and with what.
		flushes int
		took    time.Duration
		want    error
	}{
		{"it has arrived", errors.New("handed over"), time.Second,
			func(context.Context, time.Time) error { time.Sleep(time.Millisecond); return nil }, 1, time.Millisecond, nil},
		{"it is not known", errors.New("handed over"), time.Second,
			func(context.Context, time.Time) error { return lost }, 1, 0, scheduler.ErrUnderWay},
		{"nobody says", errors.New("handed over"), time.Second,
			func(ctx context.Context, _ time.Time) error { <-ctx.Done(); return context.Cause(ctx) }, 1, time.Second, scheduler.ErrUnderWay},
		{"it was long ago", errors.New("handed over"), time.Minute, func(_ context.Context, newest time.Time) error {
			if time.Since(newest) < time.Minute {
				return lost
			}
			return nil
		}, 1, 0, nil},
		{"the claim is lost", scheduler.ErrFenced, time.Second, nil, 0, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPorts()
				p.flush = c.flush
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				answer := make(chan struct{})
				p.send = func(lattice.Command) lattice.Reply {
					<-answer
					p.note("sent")
					return lattice.Reply{Outcome: lattice.Unknown}
				}
				s := newScheduler(t, p)
				done := make(chan error, 1)
				go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 7}) }()
				time.Sleep(c.after)
				synctest.Wait()
				if p.count("send") != 1 {
					t.Fatalf("before the end: %v", p.calls)
				}
				cancel(c.cause)
				synctest.Wait()
				if p.count("flush") != 0 {
					t.Errorf("asked before the sending had ended: %v", p.calls)
				}
				began := time.Now()
				close(answer)
				err := <-done
				if !errors.Is(err, c.want) {
					t.Errorf("own ended with %v, want %v", err, c.want)
				}
				if n, took := p.count("flush"), time.Since(began); n != c.flushes || took != c.took {
					t.Errorf("asked %d times, ended after %v; want %d, %v", n, took, c.flushes, c.took)
				}
			})
		})
	}
	t.Run("it failed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := newPorts()
			p.flush = func(context.Context, time.Time) error { return lost }
			done, cancel := own(t, p, scheduler.Claim{})
			defer cancel()
			synctest.Wait()
			p.events <- scheduler.Delivery{Data: heartbeat(t), Ack: func() { panic("boom") }}
			if err := <-done; !errors.Is(err, scheduler.ErrUnderWay) || !strings.Contains(err.Error(), "boom") {
				t.Errorf("own ended with %v", err)
			}
		})
	})
	t.Run("nothing has left", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			p := newPorts()
			p.apps = nil
			p.flush = func(context.Context, time.Time) error { return lost }
			done, cancel := own(t, p, scheduler.Claim{})
			time.Sleep(time.Second)
			cancel()
			if err := <-done; err != nil || p.count("flush") != 0 {
				t.Errorf("own ended with %v: %v", err, p.calls)
			}
		})
	})
}

// TestCommandsThatWaitCostNoGoroutine: a deploy of thousands of workloads has
// thousands of commands and room for a few.
func TestCommandsThatWaitCostNoGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const commands, requests = 3000, 8
		p := newPorts()
		shop := p.apps["shop"]
		one := shop.Spec.Components[0]
		shop.Spec.Components = nil
		for i := range commands {
			c := one
			c.Name = fmt.Sprint("web", i)
			shop.Spec.Components = append(shop.Spec.Components, c)
		}
		var mu sync.Mutex
		open, most := 0, 0
		p.send = func(lattice.Command) lattice.Reply {
			mu.Lock()
			open++
			most = max(most, open)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			open--
			mu.Unlock()
			return lattice.Reply{Outcome: lattice.Accepted}
		}
		s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)},
			scheduler.Config{Requests: requests, Core: core.Config{CommandDeadline: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		before := runtime.NumGoroutine()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 7}) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > commands/10 {
			t.Errorf("%d goroutines", n)
		}
		if n := p.count("send"); n != 60*requests && n != 61*requests {
			t.Errorf("%d commands were sent in a minute, want %d a second", n, requests)
		}
		time.Sleep(commands / requests * time.Second)
		synctest.Wait()
		if p.count("send") < commands || most != requests {
			t.Errorf("%d of %d commands were sent, %d at once", p.count("send"), commands, most)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// dotted has no host that could be asked for a configuration.
type dotted struct{ *ports }

func (d dotted) Config(context.Context, tenancy.LatticeKey, string) (map[string]string, bool, error) {
	d.note("config")
	return nil, false, tenancy.ErrBadName
}

// TestAConfigurationNoHostCanHaveDoesNotExist: upstream takes the manifest, and
// every host refuses the question.
func TestAConfigurationNoHostCanHaveDoesNotExist(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := dotted{newPorts()}
		p.apps["shop"].Spec.Components[0].Properties.Config = []manifest.Config{{Name: "a.b"}}
		var last tenancy.StatusInfo
		p.status = func(s tenancy.Status) { last = s.Status }
		s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)}, scheduler.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 7}) }()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := p.count("config"); n == 0 || n > 2 {
			t.Errorf("asked %d times", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if last.Type != tenancy.StatusFailed || !strings.Contains(last.Message, "a.b does not exist") {
			t.Errorf("status %+v", last)
		}
	})
}

// logged is a log that can be searched while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// TestAPanicAfterTheOwnerWasToldToStopIsReported: nobody waits for its error any more.
func TestAPanicAfterTheOwnerWasToldToStopIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		p.send = func(lattice.Command) lattice.Reply {
			time.Sleep(time.Minute)
			panic("boom")
		}
		var log logged
		s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.NewTextHandler(&log, nil))}, scheduler.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 1}) }()
		synctest.Wait()
		if p.count("send") != 1 {
			t.Fatalf("before the end: %v", p.calls)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("own ended with %v", err)
		}
		if n, said := s.Stats.Panics.Load(), log.count("panic=boom"); n != 1 || said != 1 {
			t.Errorf("%d panics counted and %d logged, want one", n, said)
		}
	})
}

// TestALookThatPanicsFailsAlone: who asks is told, and the lattice goes on.
func TestALookThatPanicsFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		var log logged
		s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.NewTextHandler(&log, nil))}, scheduler.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 1}) }()
		synctest.Wait()
		for range 3 {
			err := s.Inspect(ctx, key, func(*core.State) { panic("boom") })
			if err == nil || !strings.Contains(err.Error(), "boom") {
				t.Fatalf("inspect: %v, want the panic", err)
			}
		}
		if n, said := s.Stats.Panics.Load(), log.count("panic=boom"); n != 3 || said != 3 || log.count("TestALookThatPanicsFailsAlone") == 0 {
			t.Errorf("%d panics counted and %d logged, want 3 with where they were", n, said)
		}
		p.events <- scheduler.Delivery{Data: heartbeat(t), Ack: func() { p.note("ack") }}
		synctest.Wait()
		if p.count("ack") != 1 || s.Owned() != 1 {
			t.Errorf("the owner has ended: %v", p.calls)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		// It has not to rest either.
		began := time.Now()
		ctx, cancel = context.WithCancel(t.Context())
		go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 2}) }()
		synctest.Wait()
		if err := s.Inspect(ctx, key, func(*core.State) {}); err != nil || time.Since(began) > 0 {
			t.Errorf("owned again after %v: %v", time.Since(began), err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// deserted is a lattice that no host answers in.
type deserted struct{ *ports }

func (deserted) Inventory(context.Context, tenancy.LatticeKey, lattice.HostID) (lattice.Inventory, error) {
	return lattice.Inventory{}, scheduler.ErrUndelivered
}

func (deserted) Ping(context.Context, tenancy.LatticeKey, []lattice.HostID) ([]lattice.HostID, error) {
	return nil, nil
}

// TestALatticeIsNotVacantBeforeItsSnapshotIsStored: it would be stored after the
// lattice was let go, at the latest when its owner leaves, and stay for ever.
func TestALatticeIsNotVacantBeforeItsSnapshotIsStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := deserted{newPorts()}
		p.apps = nil
		var full atomic.Bool
		p.save = func([]byte) error {
			if full.Load() {
				return errors.New("disk full")
			}
			return nil
		}
		s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.DiscardHandler)}, scheduler.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 1}) }()
		synctest.Wait()
		p.events <- scheduler.Delivery{Data: heartbeat(t), Ack: func() {}}
		full.Store(true)
		time.Sleep(time.Hour) // the host is gone by now
		before := p.count("save")
		time.Sleep(time.Minute)
		if p.count("save") == before {
			t.Fatalf("nothing waits to be stored: %v", p.calls)
		}
		if vacant := s.Vacant(ctx, time.Hour); len(vacant) > 0 {
			t.Errorf("vacant before it was stored: %v", vacant)
		}
		full.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if vacant := s.Vacant(ctx, time.Hour); len(vacant) != 1 {
			t.Errorf("vacant when it was stored: %v", vacant)
		}
		before = p.count("save")
		cancel()
		if err := <-done; err != nil || p.count("save") != before {
			t.Errorf("own ended with %v, and stored %d states more", err, p.count("save")-before)
		}
	})
}

// TestPanicsAreForgotten: lattices that panicked and are gone leave nothing behind.
func TestPanicsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPorts()
		p.save = func([]byte) error { panic("boom") }
		s := newScheduler(t, p)
		for i := range 10 {
			c := scheduler.Claim{Key: tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: tenancy.Lattice(fmt.Sprint("l", i))}, Epoch: 1}
			if err := s.Own(t.Context(), c); err == nil {
				t.Fatal("a panic was taken for success")
			}
			time.Sleep(25 * time.Minute)
		}
		if n := scheduler.Remembered(s); n > 3 {
			t.Errorf("the panics of %d lattices are remembered, one every 25 minutes", n)
		}
	})
}

// TestAPanicIsReportedWithTheBeginningOfItsEvent: and with none that it did not come of.
func TestAPanicIsReportedWithTheBeginningOfItsEvent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ack, save func()
		want      int
	}{
		"of an event": {ack: func() { panic("boom") }, save: func() {}, want: 1},
		"of a timer":  {ack: func() {}, save: func() { panic("boom") }, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := deserted{newPorts()} // so that the event brings a host
				p.apps = nil
				var log logged
				s, err := scheduler.New(scheduler.Deps{Ledger: p, Intake: p, Hosts: p, Desired: p, Statuses: p, Log: slog.New(slog.NewTextHandler(&log, nil))}, scheduler.Config{})
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { done <- s.Own(ctx, scheduler.Claim{Key: key, Epoch: 1}) }()
				synctest.Wait()
				p.save = func([]byte) error { c.save(); return nil }
				const last = "the-end-of-a-long-event"
				p.events <- scheduler.Delivery{Ack: c.ack, Data: event(t, lattice.HostHeartbeat, map[string]any{"components": []any{}, "providers": []any{},
					"host_id": "h", "friendly_name": "h", "labels": map[string]string{"a": strings.Repeat("a", 1000), "z": last}, "version": "1.9.2", "uptime_seconds": 1})}
				select {
				case <-done:
				case <-time.After(time.Minute):
				}
				if log.count("panic=boom") != 1 || log.count("event=") != c.want || log.count(last) > 0 {
					t.Errorf("%s", log.b.String())
				}
			})
		})
	}
}
