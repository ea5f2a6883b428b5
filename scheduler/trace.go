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
	"wadm/telemetry"
)

// cause is what a decision goes back to.
type cause struct {
	// name is the span's name: low in cardinality.
	name string
	// id identifies the event or command, if there is one.
	id string
	// at is when it came in, folded when it had been brought into the state.
	at, folded time.Time
	// data is the event's bytes, decoded only when the event led somewhere.
	data []byte
	// parent is the trace context the cause carried.
	parent string
}

var (
	causeTakeOver = cause{name: telemetry.SpanTakeOver, id: "take-over"}
	causeGap      = cause{name: telemetry.SpanInventory, id: "inventory"}
	causeCatalog  = cause{name: telemetry.SpanManifest, id: "catalog"}
	causeTimer    = cause{name: telemetry.SpanTimer, id: "timer"}
	causeAnswer   = cause{name: telemetry.SpanAnswer, id: "answer"}
)

func causeReply(c lattice.Command) cause {
	return cause{name: telemetry.SpanAnswer, id: c.ID, parent: c.TraceParent}
}

func eventCause(data []byte, at time.Time) cause {
	return cause{data: data, at: at}
}

var propagator = propagation.TraceContext{}

// sentCommand is what is remembered of a command until its outcome is known.
type sentCommand struct {
	kind   lattice.CommandKind
	at     time.Time
	parent string
	app    string
}

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
			why.name, why.id = telemetry.SpanEvent(string(ev.Kind)), ev.ID
		}
	}
	if why.data == nil && why.parent == "" {
		// What is no event goes back to whoever asked for the application.
		if id, parent := s.deps.Desired.Cause(c.Key, cmds[0].App); id != "" {
			why.id, why.parent = id, parent
		}
	}
	ctx = withParent(ctx, why.parent)
	attrs := []attribute.KeyValue{
		telemetry.AttrTenant.String(string(c.Key.Tenant)), telemetry.AttrLattice.String(string(c.Key.Lattice)), telemetry.AttrEpoch.Int64(int64(c.Epoch)),
		telemetry.AttrCommands.Int(len(cmds)), telemetry.AttrEventID.String(why.id),
	}
	ctx, root := s.tracer().Start(ctx, why.name, trace.WithTimestamp(why.at), trace.WithAttributes(attrs...), trace.WithSpanKind(trace.SpanKindConsumer))
	_, fold := s.tracer().Start(ctx, telemetry.SpanFold, trace.WithTimestamp(why.at))
	fold.End(trace.WithTimestamp(why.folded))
	dctx, decide := s.tracer().Start(ctx, telemetry.SpanDecide, trace.WithTimestamp(why.folded))
	for i := range cmds {
		cmds[i].Cause = why.id
		cmds[i].TraceParent = parentOf(dctx)
		decide.AddEvent("command", trace.WithAttributes(
			telemetry.AttrCommandID.String(cmds[i].ID), telemetry.AttrApplication.String(cmds[i].App), telemetry.AttrScaler.String(cmds[i].Scaler),
			telemetry.AttrHost.String(string(cmds[i].Host)), telemetry.AttrWorkload.String(string(cmds[i].Workload)), telemetry.AttrReason.String(cmds[i].Reason)))
	}
	decide.End()
	actx, step := s.tracer().Start(ctx, telemetry.SpanAppend)
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
	return s.tracer().Start(withParent(ctx, cmd.TraceParent), telemetry.SpanCommand(string(cmd.Kind)), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(telemetry.AttrTenant.String(string(c.Key.Tenant)), telemetry.AttrLattice.String(string(c.Key.Lattice)), telemetry.AttrCommandID.String(cmd.ID),
			telemetry.AttrHost.String(string(cmd.Host)), telemetry.AttrWorkload.String(string(cmd.Workload)), telemetry.AttrApplication.String(cmd.App), telemetry.AttrReason.String(cmd.Reason)))
}

func endSend(span trace.Span, r lattice.Reply) {
	span.SetAttributes(telemetry.AttrResult.String(r.Outcome.String()))
	if r.Outcome != lattice.Accepted {
		span.SetStatus(codes.Error, r.Message)
	}
	span.End()
}

// confirmed records when the outcome of commands became known, linked to the
// decision that sent them: the events of hosts carry no trace context.
func (w *worker) confirmed(ids []string) {
	for _, id := range ids {
		w.unsent.take(id) // kept back or given up
		c, ok := w.sent[id]
		if !ok {
			continue
		}
		delete(w.sent, id)
		opts := []trace.SpanStartOption{
			trace.WithTimestamp(c.at), trace.WithAttributes(telemetry.AttrTenant.String(string(w.claim.Key.Tenant)), telemetry.AttrCommandKind.String(string(c.kind)),
				telemetry.AttrLattice.String(string(w.claim.Key.Lattice)), telemetry.AttrCommandID.String(id), telemetry.AttrApplication.String(c.app)),
		}
		ctx := withParent(context.Background(), c.parent)
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc}))
		}
		_, span := w.s.tracer().Start(ctx, telemetry.SpanConfirm, opts...)
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

// traceID is the part of a trace context that people search for; empty when
// nothing is traced.
func traceID(parent string) string {
	sc := trace.SpanContextFromContext(withParent(context.Background(), parent))
	if !sc.IsValid() {
		return ""
	}
	return sc.TraceID().String()
}
