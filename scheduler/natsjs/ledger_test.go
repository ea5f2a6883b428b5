package natsjs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/lattice"
	"wadm/scheduler/natsjs"
)

func commands(ids ...string) []lattice.Command {
	var cmds []lattice.Command
	for _, id := range ids {
		cmds = append(cmds, lattice.Command{
			ID: id, Kind: lattice.ScaleComponent, Host: "H", Workload: "w", Image: "i", Count: 1,
			Reason: "because", SentAt: time.Unix(1, 0).UTC(),
		})
	}
	return cmds
}

func ids(cmds []lattice.Command) []string {
	out := []string{}
	for _, c := range cmds {
		out = append(out, c.ID)
	}
	return out
}

func inDoubt(t testing.TB, l *natsjs.Ledger, c scheduler.Claim) []string {
	t.Helper()
	cmds, err := l.InDoubt(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return ids(cmds)
}

// TestSettledCommandsAreInNobodysDoubt: what is settled, and the notes queued
// before, are stored on return, without Run, so a release may follow at once.
func TestSettledCommandsAreInNobodysDoubt(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	if err := l.Append(t.Context(), c, commands("a", "b", "c")); err != nil {
		t.Fatal(err)
	}
	if err := l.Resolve(t.Context(), c, []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Settle(t.Context(), c, []string{"c"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Settle(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	if n := subjectMessages(t, js, "wadm.cmd.default.default"); n != 2 {
		t.Errorf("%d messages, want the commands and one note", n)
	}
	next := claim(t, js, c.Key)
	if diff := cmp.Diff([]string{"b"}, inDoubt(t, l, next)); diff != "" {
		t.Error(diff)
	}
	if err := l.Settle(t.Context(), c, []string{"b"}); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("settled by an owner that is none any more: %v", err)
	}
}

// TestAClaimIsConfirmedByAWriteOfWhichNothingStays: not once a newer one exists, not
// by a server that is silent, and no longer than it may take.
func TestAClaimIsConfirmedByAWriteOfWhichNothingStays(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	nc, w := proxied(t, srv)
	l := natsjs.NewLedger(open(t, nc, natsjs.Config{}))
	c := claim(t, js, lattice1("default"))
	if err := l.Append(t.Context(), c, commands("a")); err != nil {
		t.Fatal(err)
	}
	if err := l.ProveClaim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a"}, inDoubt(t, l, c)); diff != "" {
		t.Error(diff)
	}
	eventually(t, "end of the confirmation", func() bool { return subjectMessages(t, js, "wadm.cmd.default.default") == 1 })

	w.dropAnswers.Store(true)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.ProveClaim(short, c); err == nil || errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("by a server that does not answer: %v", err)
	}
	w.dropAnswers.Store(false)
	w.cut()

	next := claim(t, js, c.Key)
	eventually(t, "connection", func() bool { return l.ProveClaim(t.Context(), next) == nil })
	if err := l.ProveClaim(t.Context(), c); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("after a newer claim: %v", err)
	}
	if err := l.ProveClaim(t.Context(), scheduler.Claim{Key: c.Key}); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("without an epoch: %v", err)
	}
}

func TestCommandsStayInDoubtUntilTheirOutcomeIsNoted(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	background(t, l.Run)
	c := claim(t, js, lattice1("default"))
	other := claim(t, js, lattice1("default2"))
	if got := inDoubt(t, l, c); len(got) != 0 {
		t.Errorf("new ledger: %v", got)
	}
	for _, batch := range [][]string{{"a", "b"}, {"c"}, {"d", "a"}} {
		if err := l.Append(t.Context(), c, commands(batch...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Append(t.Context(), other, commands("x")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "c", "d", "a"}, inDoubt(t, l, c)); diff != "" {
		t.Error(diff)
	}
	if err := l.Resolve(t.Context(), c, []string{"b", "a"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "note", func() bool { return cmp.Equal(inDoubt(t, l, c), []string{"c", "d"}) })
	// The same decision again, after its outcome was known: in doubt again.
	if err := l.Append(t.Context(), c, commands("a")); err != nil {
		t.Fatal(err)
	}
	next := claim(t, js, c.Key)
	got, err := l.InDoubt(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].SentAt = commands("")[0].SentAt
	}
	if diff := cmp.Diff(commands("c", "d", "a"), got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"x"}, inDoubt(t, l, other)); diff != "" {
		t.Error(diff)
	}
}

// TestTimesOfCommandsAreInTheClockOfWhoeverAsks: the owner that sent them had a
// clock of its own, hours off.
func TestTimesOfCommandsAreInTheClockOfWhoeverAsks(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	began := time.Now()
	for id, off := range map[string]time.Duration{"ahead": 5 * time.Hour, "behind": -5 * time.Hour} {
		cmds := commands(id)
		cmds[0].SentAt = began.Add(off)
		if err := l.Append(t.Context(), c, cmds); err != nil {
			t.Fatal(err)
		}
	}
	got, err := l.InDoubt(t.Context(), c)
	if err != nil || len(got) != 2 {
		t.Fatalf("%v, %v", got, err)
	}
	for _, cmd := range got {
		if cmd.SentAt.Before(began.Add(-time.Minute)) || cmd.SentAt.After(time.Now()) {
			t.Errorf("%s was sent at %v, now it is %v", cmd.ID, cmd.SentAt, time.Now())
		}
	}
}

// TestALedgerThatIsTooSlowKeepsNobodyFromTakingOver: what it has given until then
// is in doubt, and the hosts know the rest.
func TestALedgerThatIsTooSlowKeepsNobodyFromTakingOver(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	through, wire := proxied(t, srv)
	var log journal
	l := natsjs.NewLedger(open(t, through, natsjs.Config{APITimeout: time.Second, Log: log.logger()}))
	c := claim(t, js, lattice1("default"))
	const n = 20
	for i := range n {
		if err := l.Append(t.Context(), c, commands(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	slow := func(said []byte) {
		if asked += bytes.Count(said, []byte("STREAM.MSG.GET")); asked >= 8 {
			wire.dropAnswers.Store(true)
		}
	}
	wire.onRequest.Store(&slow)
	got, err := l.InDoubt(t.Context(), c)
	if err != nil || len(got) == 0 || len(got) == n {
		t.Errorf("%d of %d commands, %v", len(got), n, err)
	}
	for _, cmd := range got {
		if cmd.SentAt.After(time.Now()) {
			t.Errorf("%s is from the future", cmd.ID)
		}
	}
	if !strings.Contains(log.String(), "not all commands in doubt were read") {
		t.Errorf("the log says %s", log.String())
	}
	// Whose claim cannot be confirmed does not act.
	if _, err := l.InDoubt(t.Context(), c); err == nil {
		t.Error("without any answer")
	}
}

func TestNothingIsStoredUnderAnOlderClaim(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	background(t, l.Run)
	old := claim(t, js, lattice1("default"))
	if err := l.SaveState(t.Context(), old, []byte("one")); err != nil {
		t.Fatal(err)
	}
	c := claim(t, js, old.Key)
	if err := l.Append(t.Context(), old, commands("a")); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("append: %v", err)
	}
	if err := l.SaveState(t.Context(), old, []byte("two")); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("save: %v", err)
	}
	if _, err := l.InDoubt(t.Context(), old); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("in doubt: %v", err)
	}
	if _, err := l.LoadState(t.Context(), old); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("load: %v", err)
	}
	if err := l.Append(t.Context(), c, commands("b")); err != nil {
		t.Fatal(err)
	}
	// The note of the old owner must not settle the new one's command.
	if err := l.Resolve(t.Context(), old, []string{"b"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Resolve(t.Context(), c, []string{"other"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "note of the owner", func() bool { return subjectMessages(t, js, "wadm.cmd.default.default") == 2 })
	if diff := cmp.Diff([]string{"b"}, inDoubt(t, l, c)); diff != "" {
		t.Error(diff)
	}
	if state, err := l.LoadState(t.Context(), c); err != nil || string(state) != "one" {
		t.Errorf("state %q, %v", state, err)
	}
	if err := l.Append(t.Context(), scheduler.Claim{Key: lattice1("free")}, commands("a")); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("claim without epoch: %v", err)
	}
}

func subjectMessages(t testing.TB, js jetstream.JetStream, subject string) uint64 {
	t.Helper()
	st, err := js.Stream(t.Context(), "wadm_ledger")
	if err != nil {
		t.Fatal(err)
	}
	info, err := st.Info(t.Context(), jetstream.WithSubjectFilter(subject))
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Subjects[subject]
}

func TestStateIsReplaced(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	if state, err := l.LoadState(t.Context(), c); err != nil || state != nil {
		t.Errorf("no state: %v %v", state, err)
	}
	for _, s := range []string{"one", "two", ""} {
		if err := l.SaveState(t.Context(), c, []byte(s)); err != nil {
			t.Fatal(err)
		}
		if state, err := l.LoadState(t.Context(), c); err != nil || state == nil || string(state) != s {
			t.Errorf("state %q, %v, want %q", state, err, s)
		}
	}
	if n := subjectMessages(t, js, "wadm.state.default.default"); n != 1 {
		t.Errorf("%d states are kept", n)
	}
}

// messages reads what the ledger holds on a subject, oldest first.
func messages(t testing.TB, js jetstream.JetStream, subject string) (all []*jetstream.RawStreamMsg) {
	t.Helper()
	st, err := js.Stream(t.Context(), "wadm_ledger")
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); ; {
		m, err := st.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all, seq = append(all, m), m.Sequence+1
	}
}

func TestLargeDecisionsAreStoredInParts(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithMaxPayload(64<<10))
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	background(t, l.Run)
	c := claim(t, js, lattice1("default"))
	var all []string
	for i := range 5000 {
		all = append(all, fmt.Sprintf("default.default.%d.%d", c.Epoch, i))
	}
	if err := l.Append(t.Context(), c, commands(all...)); err != nil {
		t.Fatal(err)
	}
	parts := messages(t, js, "wadm.cmd.default.default")
	if len(parts) < 10 || len(parts) > 20 {
		t.Errorf("%d messages", len(parts))
	}
	for _, m := range parts {
		// Every part is under the fence and forgotten like any other.
		if m.Header.Get("Nats-TTL") != "180s" || m.Header.Get("Nats-Expected-Last-Subject-Sequence") != fmt.Sprint(c.Epoch) {
			t.Errorf("message %d: %v", m.Sequence, m.Header)
		}
	}
	if diff := cmp.Diff(all, inDoubt(t, l, c)); diff != "" {
		t.Error(diff)
	}
	// The notes of all but a few come in parts too, across the commands' borders.
	if err := l.Resolve(t.Context(), c, append(all[:2500:2500], all[2502:4999]...)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "notes", func() bool { return len(inDoubt(t, l, c)) == 3 })
	if diff := cmp.Diff([]string{all[2500], all[2501], all[4999]}, inDoubt(t, l, c)); diff != "" {
		t.Error(diff)
	}
	huge := commands("huge")
	huge[0].Reason = strings.Repeat("x", 64<<10)
	if err := l.Append(t.Context(), c, huge); !errors.Is(err, scheduler.ErrTooLarge) || errors.Is(err, scheduler.ErrUnknownOutcome) {
		t.Errorf("huge command: %v", err)
	}
}

// The limit of the stream may be lower than that of the connection.
func TestPartsFitTheStream(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	open(t, srv.Connect(t), natsjs.Config{})
	cfg := streamConfig(t, js, "wadm_ledger")
	cfg.MaxMsgSize = 32 << 10
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	var all []string
	for i := range 1000 {
		all = append(all, fmt.Sprint(i))
	}
	if err := l.Append(t.Context(), c, commands(all...)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, inDoubt(t, l, c)); diff != "" {
		t.Error(diff)
	}
}

// A part that is refused after another was stored leaves a decision half there.
func TestADecisionStoredInPartIsOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	cfg := streamConfig(t, js, "wadm_ledger")
	cfg.MaxBytes = 1200 << 10
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	cmds := commands("a", "b", "c")
	for i := range cmds {
		cmds[i].Reason = strings.Repeat("x", 800<<10)
	}
	if err := l.Append(t.Context(), c, cmds); !errors.Is(err, scheduler.ErrUnknownOutcome) {
		t.Errorf("append: %v", err)
	}
	if diff := cmp.Diff([]string{"a"}, inDoubt(t, l, c)); diff != "" {
		t.Error(diff)
	}
}

func TestCommandsInDoubtAreFoundAmongThoseOfManyLattices(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	own := srv.Connect(t)
	l := natsjs.NewLedger(open(t, own, natsjs.Config{}))
	c := claim(t, js, lattice1("l0"))
	data, err := json.Marshal(commands("other"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 10_000 {
		if i%500 == 0 {
			want = append(want, fmt.Sprint(i))
			if err := l.Append(t.Context(), c, commands(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := js.PublishAsync(fmt.Sprintf("wadm.cmd.default.l%d", 1+i%2000), data, jetstream.WithStallWait(patience)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(patience):
		t.Fatal("not published")
	}
	for key, want := range map[string][]string{"l0": want, "none": {}} {
		c := c
		if key != "l0" {
			c = claim(t, js, lattice1(key))
		}
		before := own.Stats()
		if diff := cmp.Diff(want, inDoubt(t, l, c)); diff != "" {
			t.Error(diff)
		}
		// One request for the claim, one for each message, one that finds no more, and
		// one for the server's time if there are any.
		if n := own.Stats().OutMsgs - before.OutMsgs; n != uint64(len(want)+2+min(1, len(want))) {
			t.Errorf("%s: %d requests for %d messages", key, n, len(want))
		}
	}
}

// BenchmarkInDoubt measures a take-over's look at the ledger: no message of its
// lattice, or 100, among 10,000 of others.
func BenchmarkInDoubt(b *testing.B) {
	srv := natstest.Start(b)
	js := srv.JetStream(b)
	l := newLedger(b, srv)
	claims := map[int]scheduler.Claim{0: claim(b, js, lattice1("none")), 100: claim(b, js, lattice1("l0"))}
	data, err := json.Marshal(commands("a", "b"))
	if err != nil {
		b.Fatal(err)
	}
	for i := range 10_100 {
		key := "l0"
		if i%101 != 0 {
			key = fmt.Sprintf("l%d", 1+i%2000)
		}
		if _, err := js.PublishAsync("wadm.cmd.default."+key, data, jetstream.WithStallWait(patience)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	for _, n := range []int{0, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := l.InDoubt(b.Context(), claims[n]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestOneAppendIsOneMessageWithTTLUnderTheEpoch(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	if err := l.Append(t.Context(), c, commands("a", "b", "c")); err != nil {
		t.Fatal(err)
	}
	if n := subjectMessages(t, js, "wadm.cmd.default.default"); n != 1 {
		t.Errorf("%d messages", n)
	}
	st, err := js.Stream(t.Context(), "wadm_ledger")
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.GetLastMsgForSubject(t.Context(), "wadm.cmd.default.default")
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Header.Get("Nats-TTL"); got != "180s" {
		t.Errorf("TTL %q", got)
	}
	if got, want := m.Header.Get("Nats-Msg-Id"), fmt.Sprintf("default.default/%d/", c.Epoch); !strings.HasPrefix(got, want) {
		t.Errorf("id %q", got)
	}
	if got := m.Header.Get("Nats-Expected-Last-Subject-Sequence"); got != fmt.Sprint(c.Epoch) {
		t.Errorf("condition %q", got)
	}
}

// A write whose first try gets no answer is settled by the second.
func TestAppendWithoutAnswerIsSettledByASecondTry(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	open(t, srv.Connect(t), natsjs.Config{})

	t.Run("first answer lost", func(t *testing.T) {
		t.Parallel()
		nc, wire := proxied(t, srv)
		l := natsjs.NewLedger(open(t, nc, natsjs.Config{AppendTimeout: 300 * time.Millisecond}))
		before := subjectMessages(t, js, "wadm.cmd.default.second")
		second := claim(t, js, lattice1("second"))
		wire.dropAnswers.Store(true)
		heal := time.AfterFunc(150*time.Millisecond, func() { wire.dropAnswers.Store(false) })
		defer heal.Stop()
		if err := l.Append(t.Context(), second, commands("once")); err != nil {
			t.Errorf("append: %v", err)
		}
		if n := subjectMessages(t, js, "wadm.cmd.default.second"); n != before+1 {
			t.Errorf("%d messages", n-before)
		}
	})
	t.Run("fenced meanwhile", func(t *testing.T) {
		t.Parallel()
		nc, wire := proxied(t, srv)
		l := natsjs.NewLedger(open(t, nc, natsjs.Config{AppendTimeout: 300 * time.Millisecond}))
		third := claim(t, js, lattice1("third"))
		wire.dropRequests.Store(true)
		heal := time.AfterFunc(100*time.Millisecond, func() {
			_, err := js.Publish(context.Background(), "wadm.own.default.third", nil)
			if err != nil {
				t.Error(err)
			}
			wire.dropRequests.Store(false)
		})
		defer heal.Stop()
		if err := l.Append(t.Context(), third, commands("late")); !errors.Is(err, scheduler.ErrFenced) {
			t.Errorf("append: %v", err)
		}
	})
}

func TestDefiniteFailuresAreNotUnknown(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	if err := js.DeleteStream(t.Context(), "wadm_ledger"); err != nil {
		t.Fatal(err)
	}
	err := l.Append(t.Context(), c, commands("a"))
	if err == nil || errors.Is(err, scheduler.ErrUnknownOutcome) || errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("append without a ledger: %v", err)
	}
}

func TestForeignMessagesDoNotHinderRecovery(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	for _, data := range []string{"", "x", "{", "[1]", "null", `{"resolved":7}`} {
		if _, err := js.Publish(t.Context(), "wadm.cmd.default.default", []byte(data)); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(t.Context(), c, commands("after "+data)); err != nil {
			t.Fatal(err)
		}
	}
	if got := inDoubt(t, l, c); len(got) != 6 {
		t.Errorf("in doubt: %v", got)
	}
}

// Replicated streams refuse a conditional write while another is in flight. One
// server never does, so a subscriber answers in the stream's place.
func TestABusyLedgerIsAskedAgain(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	nc, js := srv.Connect(t), srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	if err := js.DeleteStream(t.Context(), "wadm_ledger"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	total := 0
	_, err := nc.Subscribe("wadm.cmd.>", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		seen[m.Header.Get("Nats-Msg-Id")]++
		answer := `{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"},"stream":"wadm_ledger","seq":0}`
		if total++; total > 3 {
			answer = `{"stream":"wadm_ledger","seq":9}`
		}
		_ = m.Respond([]byte(answer))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), c, commands("a")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 1 || total != 4 {
		t.Errorf("%d tries with ids %v, want 4 with one", total, seen)
	}
}
