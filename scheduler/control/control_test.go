package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/control"
	"wadm/scheduler/lattice"
	"wadm/tenancy"
)

const host = "NBPWXDLB4NSITWXQ6T5YDU4WBAFOTXAOZWJVT6EXZV5K33IK6V3X4EKE"

var key = tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: "default"}

// exchange is one recorded request to a real host and its answer.
type exchange struct {
	Verb    string          `json:"verb"`
	Subject string          `json:"subject"`
	Request json.RawMessage `json:"request"`
	Reply   json.RawMessage `json:"reply"`
}

func recorded(t testing.TB) []exchange {
	t.Helper()
	data, err := os.ReadFile("testdata/replies.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	for line := range bytes.Lines(data) {
		var x exchange
		if err := json.Unmarshal(line, &x); err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	if len(all) == 0 {
		t.Fatal("no recordings")
	}
	return all
}

// script answers the control subjects of an embedded server and keeps what it was asked.
type script struct {
	mu    sync.Mutex
	asked []*nats.Msg
}

func (s *script) take() []*nats.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// listen answers every message on subject with what answer gives; nil is silence.
func (s *script) listen(t testing.TB, nc *nats.Conn, subject string, answer func(*nats.Msg) []byte) {
	t.Helper()
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		s.mu.Lock()
		s.asked = append(s.asked, m)
		s.mu.Unlock()
		if data := answer(m); data != nil && m.Reply != "" {
			_ = m.Respond(data)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
}

func newClient(t testing.TB, nc *nats.Conn, cfg control.Config) *control.Client {
	t.Helper()
	c, err := control.New(nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func yes(string) []byte { return []byte(`{"success":true,"message":"ok"}`) }

// command turns a recorded request body back into the command that asks for it.
func command(t testing.TB, x exchange) (lattice.Command, bool) {
	t.Helper()
	last := x.Subject[strings.LastIndexByte(x.Subject, '.')+1:]
	var b struct {
		Ref         string            `json:"component_ref"`
		NewRef      string            `json:"new_component_ref"`
		ProviderRef string            `json:"provider_ref"`
		Component   string            `json:"component_id"`
		Provider    string            `json:"provider_id"`
		Annotations map[string]string `json:"annotations"`
		Count       uint32            `json:"count"`
		Config      []string          `json:"config"`
		AllowUpdate bool              `json:"allow_update"`
	}
	var link lattice.Link
	var values map[string]string
	body := x.Request
	switch x.Verb {
	case "component.scale", "component.update", "provider.start", "provider.stop":
		if json.Unmarshal(body, &b) != nil || b.AllowUpdate {
			return lattice.Command{}, false
		}
	case "link.put", "link.del":
		if json.Unmarshal(body, &link) != nil {
			return lattice.Command{}, false
		}
	case "config.put":
		if json.Unmarshal(body, &values) != nil {
			return lattice.Command{}, false
		}
	}
	c := lattice.Command{ID: "c1", Host: lattice.HostID(last), Annotations: b.Annotations, Config: b.Config}
	switch x.Verb {
	case "component.scale":
		c.Kind, c.Workload, c.Image, c.Count = lattice.ScaleComponent, lattice.WorkloadID(b.Component), b.Ref, b.Count
	case "component.update":
		c.Kind, c.Workload, c.Image = lattice.UpdateComponent, lattice.WorkloadID(b.Component), b.NewRef
	case "provider.start":
		c.Kind, c.Workload, c.Image = lattice.StartProvider, lattice.WorkloadID(b.Provider), b.ProviderRef
	case "provider.stop":
		c.Kind, c.Workload = lattice.StopProvider, lattice.WorkloadID(b.Provider)
	case "link.put":
		c.Kind, c.Link, c.Host = lattice.PutLink, &link, ""
	case "link.del":
		c.Kind, c.Link, c.Host = lattice.DeleteLink, &link, ""
	case "config.put":
		c.Kind, c.ConfigName, c.ConfigValue, c.Host = lattice.PutConfig, last, values, ""
	case "config.del":
		c.Kind, c.ConfigName, c.Host = lattice.DeleteConfig, last, ""
	default:
		return lattice.Command{}, false
	}
	return c, true
}

func TestSendAsksWhatRealHostsWereAskedAndReadsTheirAnswers(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{})
	var s script
	var answer []byte
	s.listen(t, srv.Connect(t), "wasmbus.ctl.v1.>", func(*nats.Msg) []byte { return answer })
	kinds := map[lattice.CommandKind]int{}
	for _, x := range recorded(t) {
		cmd, ok := command(t, x)
		if !ok || strings.Contains(x.Subject, "config.put.a.b") {
			continue
		}
		kinds[cmd.Kind]++
		answer = x.Reply
		var want struct {
			Success bool   `json:"success"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal(x.Reply, &want); err != nil {
			t.Fatal(err)
		}
		got := c.Send(t.Context(), scheduler.Claim{Key: key, Epoch: 7}, cmd)
		outcome := lattice.Refused
		if want.Success {
			outcome = lattice.Accepted
		}
		if got.Outcome != outcome || got.Message != strings.TrimSpace(want.Message) {
			t.Errorf("%s: got %v %q, want %v %q", x.Subject, got.Outcome, got.Message, outcome, want.Message)
		}
		asked := s.take()
		if len(asked) != 1 || asked[0].Subject != x.Subject {
			t.Fatalf("%s: asked %v", x.Subject, asked)
		}
		if diff := cmp.Diff(normal(t, x.Request), normal(t, asked[0].Data)); diff != "" {
			t.Errorf("%s: body (-recorded +sent):\n%s", x.Subject, diff)
		}
	}
	if len(kinds) != 8 {
		t.Errorf("recordings cover %v, want all eight kinds", kinds)
	}
}

func normal(t testing.TB, data []byte) any {
	t.Helper()
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

func TestBodiesNeverHoldNull(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{})
	var s script
	s.listen(t, srv.Connect(t), "wasmbus.ctl.v1.>", func(m *nats.Msg) []byte { return yes(m.Subject) })
	for _, cmd := range []lattice.Command{
		{Kind: lattice.ScaleComponent, Host: host, Workload: "w", Image: "i", Count: 1},
		{Kind: lattice.UpdateComponent, Host: host, Workload: "w", Image: "i"},
		{Kind: lattice.StartProvider, Host: host, Workload: "w", Image: "i"},
		{Kind: lattice.StopProvider, Host: host, Workload: "w"},
		{Kind: lattice.PutLink, Link: &lattice.Link{Source: "a", Target: "b", Namespace: "wasi", Package: "http"}},
		{Kind: lattice.DeleteLink, Link: &lattice.Link{Source: "a", Namespace: "wasi", Package: "http"}},
		{Kind: lattice.PutConfig, ConfigName: "c"},
	} {
		if got := c.Send(t.Context(), scheduler.Claim{Key: key, Epoch: 1}, cmd); got.Outcome != lattice.Accepted {
			t.Errorf("%s: %v %s", cmd.Kind, got.Outcome, got.Message)
		}
		for _, m := range s.take() {
			if bytes.Contains(m.Data, []byte("null")) {
				t.Errorf("%s: %s", cmd.Kind, m.Data)
			}
			if cmd.Host != "" && !bytes.Contains(m.Data, []byte(`"host_id":"`+host+`"`)) {
				t.Errorf("%s: no host_id: %s", cmd.Kind, m.Data)
			}
		}
	}
}

func TestBadNamesAreRefusedUnsent(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{})
	var s script
	s.listen(t, srv.Connect(t), ">", func(m *nats.Msg) []byte { return yes(m.Subject) })
	claim := scheduler.Claim{Key: key, Epoch: 1}
	for name, cmd := range map[string]lattice.Command{
		"dot in host":        {Kind: lattice.StopProvider, Host: "a.b", Workload: "w"},
		"wildcard host":      {Kind: lattice.StopProvider, Host: "*", Workload: "w"},
		"empty host":         {Kind: lattice.StopProvider, Workload: "w"},
		"line end in host":   {Kind: lattice.StopProvider, Host: "a\r\nPUB x", Workload: "w"},
		"dot in config":      {Kind: lattice.PutConfig, ConfigName: "a.b"},
		"space in config":    {Kind: lattice.DeleteConfig, ConfigName: "a b"},
		"rest in config":     {Kind: lattice.DeleteConfig, ConfigName: ">"},
		"no workload":        {Kind: lattice.ScaleComponent, Host: host, Image: "i", Count: 1},
		"no image":           {Kind: lattice.StartProvider, Host: host, Workload: "w"},
		"no link":            {Kind: lattice.PutLink},
		"link without ends":  {Kind: lattice.PutLink, Link: &lattice.Link{Namespace: "wasi", Package: "http"}},
		"unlink without wit": {Kind: lattice.DeleteLink, Link: &lattice.Link{Source: "a"}},
		"unknown kind":       {Kind: "reboot", Host: host},
	} {
		got := c.Send(t.Context(), claim, cmd)
		if got.Outcome != lattice.Refused || !strings.HasPrefix(got.Message, "not sent: ") {
			t.Errorf("%s: %v %q", name, got.Outcome, got.Message)
		}
	}
	bad := tenancy.LatticeKey{Tenant: "default", Lattice: "a.>"}
	if got := c.Send(t.Context(), scheduler.Claim{Key: bad, Epoch: 1}, lattice.Command{Kind: lattice.StopProvider, Host: host, Workload: "w"}); got.Outcome != lattice.Refused {
		t.Errorf("hostile lattice: %v", got)
	}
	for _, id := range []lattice.HostID{host, "h-1_a", "h:1", "h@1", "a.b", "*", "a>", "a b", ""} {
		if _, err := c.Inventory(t.Context(), key, id); errors.Is(err, tenancy.ErrBadName) == id.Valid() {
			t.Errorf("host %q: %v, valid is %v", id, err, id.Valid())
		}
		s.take()
	}
	if _, err := c.Inventory(t.Context(), key, "a.b"); !errors.Is(err, tenancy.ErrBadName) {
		t.Errorf("inventory of a.b: %v", err)
	}
	if _, _, err := c.Config(t.Context(), key, "a.b"); !errors.Is(err, tenancy.ErrBadName) {
		t.Errorf("config a.b: %v", err)
	}
	if asked := s.take(); len(asked) != 0 {
		t.Errorf("%d requests went out, first on %q", len(asked), asked[0].Subject)
	}
}

func TestOutcomesTellNobodyThereFromNoAnswer(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{Timeout: 200 * time.Millisecond, AskAgain: 50 * time.Millisecond})
	claim := scheduler.Claim{Key: key, Epoch: 1}
	stop := lattice.Command{Kind: lattice.StopProvider, Host: host, Workload: "w"}
	unlink := lattice.Command{Kind: lattice.DeleteLink, Link: &lattice.Link{Source: "a", Namespace: "wasi", Package: "http"}}
	if got := c.Send(t.Context(), claim, stop); got.Outcome != lattice.Undelivered {
		t.Errorf("nobody listens: %v", got)
	}
	if got := c.Send(t.Context(), claim, unlink); got.Outcome != lattice.Undelivered {
		t.Errorf("nobody listens for links: %v", got)
	}
	if _, err := c.Inventory(t.Context(), key, host); !errors.Is(err, scheduler.ErrUndelivered) {
		t.Errorf("inventory: %v", err)
	}
	var s script
	var mu sync.Mutex
	var answer []byte
	set := func(b []byte) { mu.Lock(); answer = b; mu.Unlock() }
	s.listen(t, srv.Connect(t), "wasmbus.ctl.v1.>", func(*nats.Msg) []byte { mu.Lock(); defer mu.Unlock(); return answer })
	if got := c.Send(t.Context(), claim, stop); got.Outcome != lattice.Unknown {
		t.Errorf("silence: %v", got)
	}
	if n := len(s.take()); n != 1 {
		t.Errorf("a command to one host was published %d times", n)
	}
	if _, err := c.Inventory(t.Context(), key, host); !errors.Is(err, scheduler.ErrNoAnswer) || errors.Is(err, scheduler.ErrUndelivered) {
		t.Errorf("inventory: %v", err)
	}
	s.take()
	if got := c.Send(t.Context(), claim, unlink); got.Outcome != lattice.Unknown {
		t.Errorf("silence: %v", got)
	}
	if n := len(s.take()); n != 2 {
		t.Errorf("an idempotent command without an answer was published %d times, want 2", n)
	}
	doubtful := claim
	doubtful.Guard = &scheduler.Guard{MayAct: func() error { return errors.New("the claim is lost") }}
	if got := c.Send(t.Context(), doubtful, unlink); got.Outcome != lattice.Unknown {
		t.Errorf("silence, and the claim lost meanwhile: %v", got)
	}
	if n := len(s.take()); n != 1 {
		t.Errorf("a command whose claim was lost before the second asking was published %d times, want 1", n)
	}
	for _, unreadable := range []string{"", "{", `{"message":"x"}`, `[]`, `{"success":"yes"}`} {
		set([]byte(unreadable))
		if got := c.Send(t.Context(), claim, stop); got.Outcome != lattice.Unknown {
			t.Errorf("reply %q: %v", unreadable, got)
		}
	}
	set([]byte(`{"success":true}`))
	if got := c.Send(t.Context(), claim, stop); got.Outcome != lattice.Accepted {
		t.Errorf("reply without message: %v", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.Send(ended, claim, stop); got.Outcome != lattice.Unknown {
		t.Errorf("ended context: %v", got)
	}
}

// TestWithoutAConnectionNothingIsSent: the connection for commands keeps nothing
// back, so nothing can happen later either, and the decision can be made anew.
func TestWithoutAConnectionNothingIsSent(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	nc := srv.Connect(t, nats.ReconnectBufSize(-1), nats.ReconnectWait(time.Minute))
	c := newClient(t, nc, control.Config{Timeout: time.Second, AskAgain: 50 * time.Millisecond})
	lost := nc.StatusChanged(nats.RECONNECTING)
	srv.Stop()
	select {
	case <-lost:
	case <-time.After(20 * time.Second):
		t.Fatal("the end of the connection is not noticed")
	}
	for _, cmd := range []lattice.Command{
		{Kind: lattice.StopProvider, Host: host, Workload: "w"},
		{Kind: lattice.DeleteLink, Link: &lattice.Link{Source: "a", Namespace: "wasi", Package: "http"}},
	} {
		if got := c.Send(t.Context(), scheduler.Claim{Key: key, Epoch: 1}, cmd); got.Outcome != lattice.Unsent {
			t.Errorf("%s: %v", cmd.Kind, got)
		}
	}
	if _, err := c.Inventory(t.Context(), key, host); !errors.Is(err, scheduler.ErrNoAnswer) || errors.Is(err, scheduler.ErrUndelivered) {
		t.Errorf("inventory: %v", err)
	}
}

func TestSecondAskingReachesAnotherHost(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{Timeout: 5 * time.Second, AskAgain: 20 * time.Millisecond})
	var s script
	var once sync.Once
	s.listen(t, srv.Connect(t), "wasmbus.ctl.v1.default.link.*", func(m *nats.Msg) (b []byte) {
		b = []byte(`{"success":true,"message":"","response":[{"source_id":"a","target":"b","wit_namespace":"wasi","wit_package":"http","interfaces":null}]}`)
		once.Do(func() { b = nil })
		return b
	})
	links, err := c.Links(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	want := []lattice.Link{{Source: "a", Target: "b", Name: "default", Namespace: "wasi", Package: "http", Interfaces: []string{}, SourceConfig: []string{}, TargetConfig: []string{}}}
	if diff := cmp.Diff(want, links); diff != "" {
		t.Error(diff)
	}
}

func TestHeadersCarryEpochInstanceAndTrace(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{Instance: "i-1"})
	var s script
	s.listen(t, srv.Connect(t), "wasmbus.ctl.v1.>", func(m *nats.Msg) []byte { return yes(m.Subject) })
	const tp = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	stop := lattice.Command{Kind: lattice.StopProvider, Host: host, Workload: "w", TraceParent: tp}
	claim := scheduler.Claim{Key: key, Epoch: 42}
	c.Send(t.Context(), claim, stop)
	bad := stop
	bad.TraceParent = tp + "\r\nEvil: 1"
	c.Send(t.Context(), claim, bad)
	ts, err := trace.ParseTraceState("vendor=1")
	if err != nil {
		t.Fatal(err)
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceState: ts})
	c.Send(trace.ContextWithSpanContext(t.Context(), sc), claim, stop)
	var got []map[string][]string
	for _, m := range s.take() {
		got = append(got, m.Header)
	}
	want := []map[string][]string{
		{"Wadm-Epoch": {"42"}, "Wadm-Instance": {"i-1"}, "traceparent": {tp}},
		{"Wadm-Epoch": {"42"}, "Wadm-Instance": {"i-1"}},
		{
			"Wadm-Epoch": {"42"}, "Wadm-Instance": {"i-1"},
			"traceparent": {"00-01000000000000000000000000000000-0200000000000000-00"}, "tracestate": {"vendor=1"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAccountsStandBeforeThePrefix(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{Prefix: "bus.x", Account: func(tt tenancy.Tenant) string {
		if tt == "evil" {
			return "a.b"
		}
		return "ACC"
	}})
	var s script
	s.listen(t, srv.Connect(t), "ACC.>", func(m *nats.Msg) []byte { return yes(m.Subject) })
	stop := lattice.Command{Kind: lattice.StopProvider, Host: host, Workload: "w"}
	if got := c.Send(t.Context(), scheduler.Claim{Key: key, Epoch: 1}, stop); got.Outcome != lattice.Accepted {
		t.Error(got)
	}
	if asked := s.take(); len(asked) != 1 || asked[0].Subject != "ACC.bus.x.v1.default.provider.stop."+host {
		t.Errorf("asked %v", asked)
	}
	if got := c.Send(t.Context(), scheduler.Claim{Key: tenancy.LatticeKey{Tenant: "evil", Lattice: "l"}, Epoch: 1}, stop); got.Outcome != lattice.Refused {
		t.Error(got)
	}
}

func TestPingGathersEveryHostOnce(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{Gather: 10 * time.Second, GatherQuiet: 100 * time.Millisecond})
	start := time.Now()
	hosts, err := c.Ping(t.Context(), key, nil)
	if err != nil || len(hosts) != 0 {
		t.Errorf("empty lattice: %v %v", hosts, err)
	}
	var replies []exchange
	for _, x := range recorded(t) {
		if x.Verb == "host.ping" {
			replies = append(replies, x)
		}
	}
	want := map[lattice.HostID]bool{}
	nc := srv.Connect(t)
	var s script
	for _, x := range replies {
		var r struct {
			Response struct {
				ID lattice.HostID `json:"id"`
			} `json:"response"`
		}
		if err := json.Unmarshal(x.Reply, &r); err != nil {
			t.Fatal(err)
		}
		want[r.Response.ID] = true
		s.listen(t, nc, "wasmbus.ctl.v1.default.host.ping", func(*nats.Msg) []byte { return x.Reply })
	}
	for _, hostile := range []string{"{", `{"success":true,"response":{"id":"a.>"}}`, `{"success":true,"response":null}`, `{"success":false,"message":"no"}`} {
		s.listen(t, nc, "wasmbus.ctl.v1.default.host.ping", func(*nats.Msg) []byte { return []byte(hostile) })
	}
	hosts, err = c.Ping(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[lattice.HostID]bool{}
	for _, h := range hosts {
		if got[h] {
			t.Errorf("host %s twice", h)
		}
		got[h] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("both pings took %v: the gather did not end early", took)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Ping(ended, key, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
}

// TestARollCallIsShortOnceEverybodyExpectedHasAnswered has a quiet time so long
// that only an early end can pass.
func TestARollCallIsShortOnceEverybodyExpectedHasAnswered(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{Gather: time.Hour, GatherQuiet: time.Hour, GatherKnown: 100 * time.Millisecond})
	nc := srv.Connect(t)
	var s script
	for _, id := range []string{"A", "B", "NEW"} {
		s.listen(t, nc, "wasmbus.ctl.v1.default.host.ping", func(*nats.Msg) []byte {
			return fmt.Appendf(nil, `{"success":true,"message":"","response":{"id":%q}}`, id)
		})
	}
	hosts, err := c.Ping(t.Context(), key, []lattice.HostID{"B", "A"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]lattice.HostID{"A", "B", "NEW"}, hosts); diff != "" {
		t.Error(diff)
	}
}

func TestReadsUnderstandRecordedAnswers(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{})
	var s script
	var answer []byte
	s.listen(t, srv.Connect(t), "wasmbus.ctl.v1.>", func(*nats.Msg) []byte { return answer })
	seen := map[string]int{}
	for _, x := range recorded(t) {
		answer = x.Reply
		last := x.Subject[strings.LastIndexByte(x.Subject, '.')+1:]
		var r struct {
			Response json.RawMessage `json:"response"`
		}
		if err := json.Unmarshal(x.Reply, &r); err != nil {
			t.Fatal(err)
		}
		switch x.Verb {
		case "host.get":
			inv, err := c.Inventory(t.Context(), key, lattice.HostID(last))
			var raw struct {
				Components, Providers []json.RawMessage
				Labels                map[string]string
			}
			if jerr := json.Unmarshal(r.Response, &raw); jerr != nil {
				t.Fatal(jerr)
			}
			if err != nil || len(inv.Components) != len(raw.Components) || len(inv.Providers) != len(raw.Providers) || string(inv.Host) != last {
				t.Errorf("inventory %v %v of %s", inv, err, x.Reply)
			}
			if diff := cmp.Diff(raw.Labels, inv.Labels); diff != "" {
				t.Error(diff)
			}
		case "link.get":
			links, err := c.Links(t.Context(), key)
			var raw []json.RawMessage
			if jerr := json.Unmarshal(r.Response, &raw); jerr != nil {
				t.Fatal(jerr)
			}
			if err != nil || len(links) != len(raw) {
				t.Errorf("links %v %v of %s", links, err, x.Reply)
			}
		case "config.get":
			value, ok, err := c.Config(t.Context(), key, last)
			if err != nil || ok != (r.Response != nil) {
				t.Errorf("config %v %v %v of %s", value, ok, err, x.Reply)
			}
		default:
			continue
		}
		seen[x.Verb]++
	}
	if len(seen) != 3 {
		t.Errorf("recordings cover %v", seen)
	}
}

func TestInventoryIsTakenFromItsOwnHostOnly(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t, natstest.WithoutJetStream())
	c := newClient(t, srv.Connect(t), control.Config{})
	var s script
	answer := ""
	s.listen(t, srv.Connect(t), "wasmbus.ctl.v1.>", func(*nats.Msg) []byte { return []byte(answer) })
	for _, answer = range []string{
		`{"success":true,"response":null}`,
		`{"success":true,"response":{"host_id":"OTHER","components":[],"providers":[]}}`,
		`{"success":true,"response":{"host_id":"` + host + `"}}`,
		`{"success":false,"message":"no"}`,
	} {
		if inv, err := c.Inventory(t.Context(), key, host); err == nil {
			t.Errorf("%s: %v", answer, inv)
		}
	}
	answer = `{"success":true,"response":{"id":"` + host + `","actors":[{"id":"x","max_instances":3}],"providers":[]}}`
	inv, err := c.Inventory(t.Context(), key, host)
	if err != nil || len(inv.Components) != 1 || inv.Components[0].Max != 3 {
		t.Errorf("old spelling: %v %v", inv, err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for _, cfg := range []control.Config{
		{Prefix: "a..b"}, {Prefix: "a.*"}, {Prefix: "a b"}, {Timeout: -1}, {Instance: "a\r\nb"},
	} {
		if _, err := control.New(nil, cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}
