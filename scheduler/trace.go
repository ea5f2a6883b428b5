package scheduler

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"wadm/scheduler/lattice"
)

// cause is what a decision goes back to.
type cause struct {
	// name is the span's name: low in cardinality.
	name string
	// id identifies the event or command, if there is one.
	id string
	at time.Time
	// data is the event's bytes, decoded only when the event led somewhere.
	data []byte
	// parent is the trace context the cause carried.
	parent string
}

var (
	causeTakeOver = cause{name: "take over", id: "take-over"}
	causeGap      = cause{name: "take inventory", id: "gap"}
	causeCatalog  = cause{name: "read catalog", id: "catalog"}
	causeTimer    = cause{name: "timer", id: "timer"}
	causeAnswer   = cause{name: "answer", id: "answer"}
)

func causeReply(c lattice.Command) cause {
	return cause{name: "reply " + string(c.Kind), id: c.ID, parent: c.TraceParent}
}

func eventCause(data []byte, at time.Time) cause {
	return cause{name: "process event", data: data, at: at}
}

var propagator = propagation.TraceContext{}

// sentCommand is what is remembered of a command until its outcome is known.
type sentCommand struct {
	kind   lattice.CommandKind
	at     time.Time
	parent string
	app    string
}

// Attribute keys of the scheduler's spans.
const (
	keyTenant   = attribute.Key("wadm.account.id")
	keyLattice  = attribute.Key("wadm.lattice.id")
	keyEpoch    = attribute.Key("wadm.owner.epoch")
	keyCommands = attribute.Key("wadm.commands")
	keyCommand  = attribute.Key("wadm.command.id")
	keyReason   = attribute.Key("wadm.reason")
	keyHost     = attribute.Key("wadm.host.id")
	keyWorkload = attribute.Key("wadm.workload.id")
	keyApp      = attribute.Key("wadm.app.name")
	keyScaler   = attribute.Key("wadm.scaler.id")
	keyOutcome  = attribute.Key("wadm.outcome")
	keyEvent    = attribute.Key("wadm.event.id")
)

func (s *Scheduler) tracer() trace.Tracer {
	if s.deps.Tracer == nil {
		return noop.NewTracerProvider().Tracer("")
	}
	return s.deps.Tracer
}

// decisionTrace is the trace of a decision that led to commands. Spans are made
// only then, with the time the input came, so that an event without
// consequences costs nothing.
type decisionTrace struct {
	ctx  context.Context
	root trace.Span
	step trace.Span
}

// startDecision records the path from the cause to the commands and writes the
// cause and the trace context into them.
func (s *Scheduler) startDecision(ctx context.Context, c Claim, why cause, cmds []lattice.Command) *decisionTrace {
	if why.data != nil {
		if ev, err := lattice.DecodeEvent(why.data); err == nil {
			why.name, why.id = "process "+string(ev.Kind), ev.ID
		}
	}
	ctx = withParent(ctx, why.parent)
	attrs := []attribute.KeyValue{
		keyTenant.String(string(c.Key.Tenant)), keyLattice.String(string(c.Key.Lattice)), keyEpoch.Int64(int64(c.Epoch)),
		keyCommands.Int(len(cmds)), keyEvent.String(why.id),
	}
	ctx, root := s.tracer().Start(ctx, why.name, trace.WithTimestamp(why.at), trace.WithAttributes(attrs...), trace.WithSpanKind(trace.SpanKindConsumer))
	dctx, decide := s.tracer().Start(ctx, "decide", trace.WithTimestamp(why.at))
	for i := range cmds {
		cmds[i].Cause = why.id
		cmds[i].TraceParent = parentOf(dctx)
		decide.AddEvent("command", trace.WithAttributes(
			keyCommand.String(cmds[i].ID), keyApp.String(cmds[i].App), keyScaler.String(cmds[i].Scaler),
			keyHost.String(string(cmds[i].Host)), keyWorkload.String(string(cmds[i].Workload)), keyReason.String(cmds[i].Reason)))
	}
	decide.End()
	actx, step := s.tracer().Start(ctx, "append")
	return &decisionTrace{ctx: actx, root: root, step: step}
}

func (t *decisionTrace) appended() { t.step.End(); t.step = nil }

func (t *decisionTrace) failed(err error) {
	t.step.RecordError(err)
	t.step.SetStatus(codes.Error, "append failed")
}

func (t *decisionTrace) end() {
	if t.step != nil {
		t.step.End()
	}
	t.root.End()
}

// startSend opens the span of one control request, under the decision's.
func (s *Scheduler) startSend(ctx context.Context, c Claim, cmd lattice.Command) (context.Context, trace.Span) {
	return s.tracer().Start(withParent(ctx, cmd.TraceParent), "send "+string(cmd.Kind), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(keyTenant.String(string(c.Key.Tenant)), keyLattice.String(string(c.Key.Lattice)), keyCommand.String(cmd.ID),
			keyHost.String(string(cmd.Host)), keyWorkload.String(string(cmd.Workload)), keyApp.String(cmd.App), keyReason.String(cmd.Reason)))
}

func endSend(span trace.Span, r lattice.Reply) {
	span.SetAttributes(keyOutcome.String(r.Outcome.String()))
	if r.Outcome != lattice.Accepted {
		span.SetStatus(codes.Error, r.Message)
	}
	span.End()
}

// confirmed records when the outcome of commands became known, linked to the
// decision that sent them: the events of hosts carry no trace context.
func (w *worker) confirmed(ids []string) {
	for _, id := range ids {
		c, ok := w.sent[id]
		if !ok {
			continue
		}
		delete(w.sent, id)
		opts := []trace.SpanStartOption{
			trace.WithTimestamp(c.at), trace.WithAttributes(keyTenant.String(string(w.claim.Key.Tenant)),
				keyLattice.String(string(w.claim.Key.Lattice)), keyCommand.String(id), keyApp.String(c.app)),
		}
		ctx := withParent(context.Background(), c.parent)
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc}))
		}
		_, span := w.s.tracer().Start(ctx, "confirm "+string(c.kind), opts...)
		span.End()
	}
}

func withParent(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return propagator.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}

func parentOf(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagator.Inject(ctx, carrier)
	return carrier["traceparent"]
}

// traceID is the part of a trace context that people search for.
func traceID(parent string) string {
	return trace.SpanContextFromContext(withParent(context.Background(), parent)).TraceID().String()
}
