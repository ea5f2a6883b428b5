package simhost_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// world is a simulated lattice in fake time and somebody who asks and listens.
type world struct {
	t   *testing.T
	nc  *nats.Conn
	sim *simhost.Lattice

	mu     sync.Mutex
	events []event
}

// event is one event as heard.
type event struct {
	At   time.Time // when heard
	ID   string
	Kind string
	Host lattice.HostID
	Time time.Time // when it says it happened
	Data map[string]any
}

// reply is a host's answer.
type reply struct {
	Success  bool            `json:"success"`
	Message  string          `json:"message"`
	Response json.RawMessage `json:"response"`
	header   nats.Header
}

func bubble(t *testing.T, cfg simhost.Config, fn func(t *testing.T, w *world)) {
	t.Helper()
	natstest.Bubble(t, func(t *testing.T, s *natstest.Server) {
		w := &world{t: t, nc: s.Connect(t)}
		if _, err := w.nc.Subscribe("wasmbus.evt.default.>", w.hear); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		sim, err := simhost.New(s.Connect(t), "default", cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Close()
		w.sim = sim
		fn(t, w)
	}, natstest.WithoutJetStream())
}

func (w *world) hear(m *nats.Msg) {
	var e envelope
	ev := event{At: time.Now()}
	if err := json.Unmarshal(m.Data, &e); err != nil {
		w.t.Errorf("event %s: %v", m.Data, err)
	}
	if err := json.Unmarshal(e.Data, &ev.Data); err != nil {
		w.t.Errorf("event data %s: %v", e.Data, err)
	}
	ev.ID, ev.Host, ev.Time = e.ID, lattice.HostID(e.Source), e.Time
	ev.Kind = strings.TrimPrefix(e.Type, "com.wasmcloud.lattice.")
	if want := "wasmbus.evt.default." + ev.Kind; m.Subject != want {
		w.t.Errorf("event %s on %s", ev.Kind, m.Subject)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, ev)
}

func (w *world) host(cfg simhost.HostConfig) *simhost.Host {
	w.t.Helper()
	h, err := w.sim.AddHost(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// heard takes the events so far, those whose kind begins so or all but heartbeats.
func (w *world) heard(kinds ...string) []event {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []event
	for _, e := range w.events {
		begins := func(prefix string) bool { return strings.HasPrefix(e.Kind, prefix) }
		if len(kinds) == 0 && e.Kind != "host_heartbeat" || slices.ContainsFunc(kinds, begins) {
			out = append(out, e)
		}
	}
	w.events = nil
	return out
}

// brief is what events say, in short.
func brief(events []event) []string {
	out := []string{}
	for _, e := range events {
		s := e.Kind
		for _, k := range []string{"component_id", "provider_id", "config_name", "source_id", "target", "image_ref", "max_instances", "error"} {
			if v, ok := e.Data[k]; ok {
				s += fmt.Sprint(" ", v)
			}
		}
		if a, ok := e.Data["annotations"].(map[string]any); ok && a["wasmcloud.dev/scaler"] != nil {
			s += fmt.Sprint(" by ", a["wasmcloud.dev/scaler"])
		}
		out = append(out, s)
	}
	return out
}

func (w *world) tryAsk(subject, body string, header nats.Header) (reply, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
	defer cancel()
	m, err := w.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: "wasmbus.ctl.v1.default." + subject, Data: []byte(body), Header: header})
	if err != nil {
		return reply{}, err
	}
	r := reply{header: m.Header}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		w.t.Errorf("reply %s: %v", m.Data, err)
	}
	return r, nil
}

func (w *world) ask(subject, body string) reply {
	w.t.Helper()
	r, err := w.tryAsk(subject, body, nil)
	if err != nil {
		w.t.Fatalf("%s: %v", subject, err)
	}
	return r
}

// tell sends a command without waiting for its answer.
func (w *world) tell(subject, body string, header nats.Header) {
	w.t.Helper()
	if err := w.nc.PublishMsg(&nats.Msg{Subject: "wasmbus.ctl.v1.default." + subject, Data: []byte(body), Header: header}); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func (w *world) unheard(subject, body string) error {
	_, err := w.tryAsk(subject, body, nil)
	return err
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// annotated is what the scheduler puts on its work.
func annotated(scaler string) map[string]string {
	return map[string]string{"wasmcloud.dev/managed-by": "wadm", "wasmcloud.dev/scaler": scaler}
}

func scaleTo(h *simhost.Host, id, image string, n int, scaler string, config ...string) string {
	return encode(map[string]any{
		"component_id": id, "component_ref": image, "count": n, "annotations": annotated(scaler),
		"config": append([]string{}, config...), "host_id": h.ID(), "allow_update": false,
	})
}

func startOf(h *simhost.Host, id, image, scaler string, config ...string) string {
	return encode(map[string]any{
		"provider_id": id, "provider_ref": image, "annotations": annotated(scaler), "config": append([]string{}, config...), "host_id": h.ID(),
	})
}

func stopOf(h *simhost.Host, id string) string {
	return encode(map[string]any{"provider_id": id, "host_id": h.ID()})
}

func on(verb string, h *simhost.Host) string { return verb + "." + string(h.ID()) }

// inventory asks the host itself.
func (w *world) inventory(h *simhost.Host) string {
	w.t.Helper()
	var inv struct {
		Components []struct {
			ID    string            `json:"id"`
			Image string            `json:"image_ref"`
			Max   int               `json:"max_instances"`
			Ann   map[string]string `json:"annotations"`
		} `json:"components"`
		Providers []struct {
			ID    string `json:"id"`
			Image string `json:"image_ref"`
		} `json:"providers"`
	}
	if err := json.Unmarshal(w.ask(on("host.get", h), "").Response, &inv); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, c := range inv.Components {
		out = append(out, fmt.Sprintf("%s %s x%d by %s", c.ID, c.Image, c.Max, c.Ann["wasmcloud.dev/scaler"]))
	}
	for _, p := range inv.Providers {
		out = append(out, p.ID+" "+p.Image)
	}
	return strings.Join(out, ", ")
}

func (w *world) rules() []simhost.Rule {
	rules := []simhost.Rule{}
	for _, v := range w.sim.Violations() {
		rules = append(rules, v.Rule)
	}
	return rules
}

func noResponders(err error) bool { return errors.Is(err, nats.ErrNoResponders) }
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}
