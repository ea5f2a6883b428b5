package otlp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"wadm/telemetry"
	"wadm/telemetry/otlp"
)

// sink is an OTLP/HTTP receiver that remembers what it was sent.
type sink struct {
	*httptest.Server
	mu       sync.Mutex
	paths    []string
	requests []*coltrace.ExportTraceServiceRequest
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var req coltrace.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &req)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.paths = append(s.paths, r.URL.Path)
		s.requests = append(s.requests, &req)
	}))
	t.Cleanup(s.Close)
	return s
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// traceOnce makes one span and sends it.
func traceOnce(t *testing.T, cfg otlp.Config) *otlp.Tracing {
	t.Helper()
	tr, err := otlp.New(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tr.Tracer("wadm/test").Start(t.Context(), telemetry.SpanEvent("host_heartbeat"),
		trace.WithAttributes(telemetry.AttrLattice.String("default"), telemetry.AttrCommands.Int(2)))
	span.End()
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestSpansArriveWithServiceAndAttributes(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	tr := traceOnce(t, otlp.Config{Endpoint: s.URL, Version: "1.2.3", Instance: "one"})
	if !tr.Enabled() || tr.ExportFailures() != 0 {
		t.Fatalf("enabled %v, failures %d", tr.Enabled(), tr.ExportFailures())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := cmp.Diff([]string{"/v1/traces"}, s.paths); d != "" {
		t.Fatal(d)
	}
	rs := s.requests[0].ResourceSpans[0]
	got := map[string]string{}
	for _, kv := range rs.Resource.Attributes {
		got[kv.Key] = kv.Value.GetStringValue()
	}
	span := rs.ScopeSpans[0].Spans[0]
	got["name"] = span.Name
	for _, kv := range span.Attributes {
		if got[kv.Key] = kv.Value.GetStringValue(); kv.Value.GetIntValue() == 2 {
			got[kv.Key] = "2"
		}
	}
	for key, want := range map[string]string{
		"service.name": "wadm", "service.version": "1.2.3", "service.instance.id": "one",
		"name": "process host_heartbeat", "wadm.lattice.id": "default", "wadm.commands": "2",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

func TestReceiverIsFoundInEitherDialect(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  otlp.Config
		env  map[string]string
		want string
	}{
		"off by default":          {},
		"switch":                  {cfg: otlp.Config{Enabled: true}, want: "http://localhost:4318/v1/traces"},
		"endpoint":                {cfg: otlp.Config{Endpoint: "http://c:1"}, want: "http://c:1/v1/traces"},
		"endpoint with slash":     {cfg: otlp.Config{Endpoint: "http://c:1/"}, want: "http://c:1/v1/traces"},
		"endpoint with path":      {cfg: otlp.Config{Endpoint: "https://c/x/v1/traces"}, want: "https://c/x/v1/traces"},
		"standard base":           {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://s:4318/"}, want: "http://s:4318/v1/traces"},
		"standard traces as is":   {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://s:4318/in"}, want: "http://s:4318/in"},
		"standard wins":           {cfg: otlp.Config{Endpoint: "http://c:1"}, env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://s:4318"}, want: "http://s:4318/v1/traces"},
		"disabled":                {cfg: otlp.Config{Enabled: true}, env: map[string]string{"OTEL_SDK_DISABLED": "TRUE"}},
		"no exporter":             {cfg: otlp.Config{Enabled: true}, env: map[string]string{"OTEL_TRACES_EXPORTER": "none"}},
		"exporter does not start": {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Getenv = env(tt.env)
			tr, err := otlp.New(t.Context(), tt.cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tr.Endpoint() != tt.want || tr.Enabled() != (tt.want != "") {
				t.Errorf("got %q, enabled %v, want %q", tr.Endpoint(), tr.Enabled(), tt.want)
			}
			if err := tr.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnusableTracingSettingsAreErrors(t *testing.T) {
	t.Parallel()
	for name, vars := range map[string]map[string]string{
		"exporter": {"OTEL_TRACES_EXPORTER": "console"},
		"protocol": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
		"endpoint": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector:4318"},
	} {
		if _, err := otlp.New(t.Context(), otlp.Config{Enabled: true, Getenv: env(vars)}, nil); !errors.Is(err, otlp.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFailedExportIsCountedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	refuse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusBadRequest)
	}))
	defer refuse.Close()
	var log bytes.Buffer
	tr, err := otlp.New(t.Context(), otlp.Config{Endpoint: refuse.URL}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	// More spans than one batch holds.
	for range 1200 {
		_, span := tr.Tracer("x").Start(t.Context(), "x")
		span.End()
	}
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tr.ExportFailures() < 2 || strings.Count(log.String(), "traces cannot be sent") != 1 {
		t.Errorf("%d failures, log:\n%s", tr.ExportFailures(), log.String())
	}
}

func TestTraceTravelsInLowerCaseHeaders(t *testing.T) {
	t.Parallel()
	tr, err := otlp.New(t.Context(), otlp.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	state, err := trace.ParseTraceState("a=b")
	if err != nil {
		t.Fatal(err)
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true})
	h := telemetry.Headers{}
	tr.Inject(trace.ContextWithSpanContext(t.Context(), sc), h)
	want := telemetry.Headers{
		"traceparent": {"00-01000000000000000000000000000000-0200000000000000-01"},
		"tracestate":  {"a=b"},
	}
	if d := cmp.Diff(want, h); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := trace.SpanContextFromContext(tr.Extract(t.Context(), h)); !got.Equal(sc) {
		t.Errorf("extracted %+v, want %+v", got, sc)
	}
	empty := telemetry.Headers{}
	tr.Inject(t.Context(), empty)
	if len(empty) > 0 {
		t.Errorf("without a trace it wrote %v", empty)
	}
}

func TestPropagatorsAreChosenByTheStandardVariable(t *testing.T) {
	t.Parallel()
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	for list, want := range map[string]int{"": 1, "tracecontext, baggage": 1, "baggage": 0, "none": 0, "b3,tracecontext": 1} {
		var log bytes.Buffer
		tr, err := otlp.New(t.Context(), otlp.Config{Getenv: env(map[string]string{"OTEL_PROPAGATORS": list})}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		h := telemetry.Headers{}
		tr.Inject(trace.ContextWithSpanContext(t.Context(), sc), h)
		if len(h["traceparent"]) != want || strings.Contains(list, "b3") != strings.Contains(log.String(), "b3") {
			t.Errorf("%q: headers %v, log %q", list, h, log.String())
		}
	}
}

func FuzzForeignTraceHeadersAreHarmless(f *testing.F) {
	f.Add("00-01000000000000000000000000000000-0200000000000000-01", "a=b")
	f.Add("", "")
	f.Add("ff-zz", "=,=")
	tr, err := otlp.New(context.Background(), otlp.Config{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, parent, state string) {
		ctx := tr.Extract(t.Context(), telemetry.Headers{"traceparent": {parent}, "tracestate": {state}})
		h := telemetry.Headers{}
		tr.Inject(ctx, h)
		again := tr.Extract(t.Context(), h)
		if !trace.SpanContextFromContext(again).Equal(trace.SpanContextFromContext(ctx)) {
			t.Errorf("%q %q does not survive being passed on", parent, state)
		}
	})
}

func TestLogLinesCarryTheTrace(t *testing.T) {
	t.Parallel()
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	for _, json := range []bool{false, true} {
		var log bytes.Buffer
		l, err := telemetry.NewLogger(&log, telemetry.LogConfig{Level: "warn", JSON: json})
		if err != nil {
			t.Fatal(err)
		}
		l = l.With(telemetry.LogLattice, "a")
		l.InfoContext(t.Context(), "quiet")
		l.WarnContext(trace.ContextWithSpanContext(t.Context(), sc), "loud")
		if strings.Contains(log.String(), "quiet") || !strings.Contains(log.String(), "01000000000000000000000000000000") ||
			strings.HasPrefix(log.String(), "{") != json || !strings.Contains(log.String(), telemetry.LogTraceID) {
			t.Errorf("JSON %v: %s", json, log.String())
		}
	}
	if _, err := telemetry.NewLogger(io.Discard, telemetry.LogConfig{Level: "loud"}); err == nil {
		t.Error("unknown level was accepted")
	}
}
