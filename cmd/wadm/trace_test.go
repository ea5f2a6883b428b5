package main

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// sink is an OTLP receiver that keeps what it is sent.
type sink struct {
	mu    sync.Mutex
	spans []*tracev1.Span
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &req)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			s.spans = append(s.spans, ss.Spans...)
		}
	}
}

// named lists the names of the spans of one trace.
func (s *sink) named(trace string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, sp := range s.spans {
		if hex.EncodeToString(sp.TraceId) == trace {
			names = append(names, sp.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestOneTraceFromRequestToConfirmation: a deploy that carries a trace context
// is followed through fold, decision, ledger, host and confirmation, and the
// hosts are sent the context too.
func TestOneTraceFromRequestToConfirmation(t *testing.T) {
	t.Parallel()
	var spans sink
	receiver := httptest.NewServer(&spans)
	t.Cleanup(receiver.Close)
	ns := natstest.Start(t)
	nc := ns.Connect(t)
	var mu sync.Mutex
	var carried []string
	sim, err := simhost.New(nc, "default", simhost.Config{OnCommand: func(r simhost.Record) {
		mu.Lock()
		defer mu.Unlock()
		carried = append(carried, r.Header.Get("traceparent"))
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	if _, err := sim.AddHost(simhost.HostConfig{}); err != nil {
		t.Fatal(err)
	}
	startTraced(t, ns.URL(), receiver.URL, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := api.NewClient(nc, api.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(ctx, []byte(hello), ""); err != nil {
		t.Fatal(err)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	m := nats.NewMsg("wadm.api.default.model.deploy.hello")
	m.Header.Set("traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	if _, err := nc.RequestMsgWithContext(ctx, m); err != nil {
		t.Fatal(err)
	}
	awaitStatus(ctx, t, client, "hello", tenancy.StatusDeployed)
	want := []string{"append commands", "confirm command", "decide", "fold",
		"send put_config", "send put_link", "send scale_component", "send start_provider"}
	missing := func() []string {
		have := spans.named(trace)
		return slices.DeleteFunc(slices.Clone(want), func(n string) bool { return slices.Contains(have, n) })
	}
	for len(missing()) > 0 {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("spans missing from the trace: %q; it has %q", missing(), spans.named(trace))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	n := 0
	for _, c := range carried {
		if strings.Contains(c, trace) {
			n++
		}
	}
	if n < 4 {
		t.Errorf("%d commands carried the trace to hosts: %q", n, carried)
	}
}
