// Package otlp makes spans and sends them to an OpenTelemetry collector.
//
// It stands apart from package telemetry, whose names for spans and attributes
// everybody uses, because the SDK and its protocols are large: a program that makes
// no spans of its own does without them.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"wadm/telemetry"
)

// ErrConfig means that the settings of tracing cannot be used.
var ErrConfig = errors.New("unusable tracing settings")

// tracesPath is where an OTLP/HTTP receiver takes traces.
const tracesPath = "/v1/traces"

// defaultEndpoint is where a collector on the same machine listens.
const defaultEndpoint = "http://localhost:4318" + tracesPath

// Config says whether and where traces go.
type Config struct {
	// Enabled turns tracing on.
	Enabled bool
	// Endpoint is an OTLP/HTTP receiver; setting it turns tracing on. Without a
	// path that ends in /v1/traces, that is appended.
	Endpoint string
	// Service, Version and Instance describe this process. Service is wadm when empty.
	Service, Version, Instance string
	// Getenv looks up the standard OTEL_ variables, which win over the above;
	// nil means there are none. Samplers, batches, span limits and headers are read by the
	// SDK itself, from the environment of the process.
	Getenv func(string) string
}

// Tracing makes and sends spans.
type Tracing struct {
	provider   trace.TracerProvider
	propagator propagation.TextMapPropagator
	sdk        *sdktrace.TracerProvider // nil when off
	endpoint   string
	failed     atomic.Int64
	log        *slog.Logger
}

// New sets tracing up. It connects to nothing: spans are sent in the
// background, and a receiver that is away costs log lines, not spans' makers.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Tracing, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = func(string) string { return "" }
	}
	if cfg.Service == "" {
		cfg.Service = "wadm"
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &Tracing{provider: noop.NewTracerProvider(), log: log}
	var unknown []string
	t.propagator, unknown = propagator(cfg.Getenv("OTEL_PROPAGATORS"))
	if len(unknown) > 0 {
		log.Warn("unknown names in OTEL_PROPAGATORS, ignored; known are tracecontext, baggage, none", "names", unknown)
	}
	endpoint, err := cfg.resolve(log)
	if err != nil || endpoint == "" {
		return t, err
	}
	exporter, err := otlptrace.New(ctx, otlptracehttp.NewClient(otlptracehttp.WithEndpointURL(endpoint)))
	if err != nil {
		return nil, fmt.Errorf("set up tracing: %w: %w", ErrConfig, err)
	}
	// Later options win: what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say is kept.
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", cfg.Service),
		attribute.String("service.version", cfg.Version),
		attribute.String("service.instance.id", cfg.Instance),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("set up tracing: %w: %w", ErrConfig, err)
	}
	t.endpoint = endpoint
	t.sdk = sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&countingExporter{SpanExporter: exporter, tracing: t}),
		sdktrace.WithResource(res),
	)
	t.provider = t.sdk
	return t, nil
}

// resolve finds the receiver. Empty means that tracing is off.
func (c Config) resolve(log *slog.Logger) (string, error) {
	if strings.EqualFold(c.Getenv("OTEL_SDK_DISABLED"), "true") {
		if c.Enabled || c.Endpoint != "" {
			log.Warn("tracing is off because of OTEL_SDK_DISABLED")
		}
		return "", nil
	}
	standard, from := c.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	if standard == "" {
		if base := c.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"); base != "" {
			// By the standard the path is appended to this one always.
			standard, from = strings.TrimRight(base, "/")+tracesPath, "OTEL_EXPORTER_OTLP_ENDPOINT"
		}
	}
	if !c.Enabled && c.Endpoint == "" && standard == "" {
		return "", nil
	}
	switch exporter := c.Getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return "", nil
	default:
		return "", fmt.Errorf("set up tracing: %w: OTEL_TRACES_EXPORTER is %q, known are otlp and none", ErrConfig, exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch protocol := c.Getenv(name); protocol {
		case "", "http/protobuf":
		default:
			return "", fmt.Errorf("set up tracing: %w: %s is %q, known is http/protobuf", ErrConfig, name, protocol)
		}
	}
	endpoint := defaultEndpoint
	switch {
	case standard != "":
		endpoint = standard
		if c.Endpoint != "" && withTracesPath(c.Endpoint) != standard {
			log.Warn("two receivers of traces are given, the standard variable wins", "variable", from, "endpoint", standard, "ignored", c.Endpoint)
		}
	case c.Endpoint != "":
		endpoint = withTracesPath(c.Endpoint)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("set up tracing: %w: endpoint %q is not an http:// or https:// URL", ErrConfig, endpoint)
	}
	return endpoint, nil
}

func withTracesPath(endpoint string) string {
	endpoint = strings.TrimRight(endpoint, "/")
	if strings.HasSuffix(endpoint, tracesPath) {
		return endpoint
	}
	return endpoint + tracesPath
}

// Enabled reports whether spans are sent anywhere.
func (t *Tracing) Enabled() bool { return t.sdk != nil }

// Endpoint is the receiver, empty when tracing is off.
func (t *Tracing) Endpoint() string { return t.endpoint }

// Tracer returns the tracer of a package; name is its import path.
func (t *Tracing) Tracer(name string) trace.Tracer { return t.provider.Tracer(name) }

// Provider makes tracers for packages that name themselves.
func (t *Tracing) Provider() trace.TracerProvider { return t.provider }

// ExportFailures counts the batches of spans that could not be sent.
func (t *Tracing) ExportFailures() int64 { return t.failed.Load() }

// Shutdown sends what is waiting and ends tracing. It returns when that is
// done or ctx ends.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if t.sdk == nil {
		return nil
	}
	if err := t.sdk.Shutdown(ctx); err != nil {
		return fmt.Errorf("stop tracing: %w", err)
	}
	return nil
}

// countingExporter reports failures here instead of to the SDK's global
// error handler. Only the first of a row of failures is logged.
type countingExporter struct {
	sdktrace.SpanExporter
	tracing *Tracing
	failing atomic.Bool
}

func (e *countingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil:
		e.tracing.failed.Add(1)
		if !e.failing.Swap(true) {
			e.tracing.log.Warn("traces cannot be sent", "endpoint", e.tracing.endpoint, telemetry.LogError, err)
		}
	case e.failing.Swap(false):
		e.tracing.log.Info("traces are sent again", "endpoint", e.tracing.endpoint)
	}
	return nil
}

func splitList(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
