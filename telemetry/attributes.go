package telemetry

import "go.opentelemetry.io/otel/attribute"

// Keys of log lines. A line carries those that apply, under these names only.
const (
	LogTenant  = "tenant"
	LogLattice = "lattice"
	LogEpoch   = "epoch"
	LogTraceID = "trace_id"
	LogError   = "error"
)

// Keys of span attributes. Their values may be many: on spans that is cheap.
// Metrics never carry lattice or host.
const (
	AttrTenant      = attribute.Key("wadm.account.id")
	AttrLattice     = attribute.Key("wadm.lattice.id")
	AttrApplication = attribute.Key("wadm.app.name")
	AttrScaler      = attribute.Key("wadm.scaler.id")
	AttrReason      = attribute.Key("wadm.reason")
	AttrEpoch       = attribute.Key("wadm.owner.epoch")
	AttrCommands    = attribute.Key("wadm.commands") // how many were decided
	AttrCommandID   = attribute.Key("wadm.command.id")
	AttrCommandKind = attribute.Key("wadm.command.kind")
	AttrEventID     = attribute.Key("wadm.event.id")
	AttrHost        = attribute.Key("wadm.host.id")
	AttrWorkload    = attribute.Key("wadm.workload.id") // of a component or provider
	AttrOperation   = attribute.Key("wadm.api.operation")
	AttrResult      = attribute.Key("wadm.result")
)

// Names of spans. They are few: what varies is an attribute. The functions
// take words of a fixed vocabulary, never names a tenant chose.
const (
	SpanFold      = "fold"
	SpanDecide    = "decide"
	SpanAppend    = "append commands"
	SpanConfirm   = "confirm command"
	SpanTimer     = "process timer"
	SpanManifest  = "process manifests"
	SpanAnswer    = "process answer"
	SpanInventory = "take inventory"
	SpanTakeOver  = "take over lattice"
)

// SpanEvent names the root span of a received event: "process host_heartbeat".
func SpanEvent(eventType string) string { return "process " + eventType }

// SpanCommand names the span of a command on its way: "send scale_component".
func SpanCommand(kind string) string { return "send " + kind }

// SpanAPI names the span of a request: "api model.put".
func SpanAPI(operation string) string { return "api " + operation }
