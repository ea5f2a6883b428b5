// Package api answers the wadm NATS API: requests on
// "{prefix}.{lattice}.model.{operation}[.{name}]", in multi-tenant mode behind a
// first token that names the tenant, and it has the Go client for it.
//
// The wire is the one existing clients know: subjects, queue group, field order,
// words and sentences. All instances answer; none of them needs to own a lattice.
//
// Guarantees. Requests about one application are carried out in the order in which
// this instance received them, everything else side by side in a bounded number of
// workers, so that a slow one delays only its own application. A reply that says
// success is sent after the change is stored. A request that cannot be read, or
// makes the handler panic, is answered with an error and touches nobody else.
// Answers go only to inbox subjects, so that a caller cannot make the service
// publish anywhere else.
//
// The manifest events this package publishes are hints for others; the scheduler
// reads the catalog. Losing one changes nothing.
package api
