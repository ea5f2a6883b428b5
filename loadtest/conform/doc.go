// Package conform checks whether a wadm server does what clients, hosts and
// operators may rely on: the requests and their exact replies, statuses, events,
// and what hosts run after a deployment, with simulated hosts.
//
// Each case is one guarantee. Cases use lattices of their own and run side by
// side. Where upstream wadm is known not to keep a guarantee, the case carries
// the number of the defect, so that its failure is told from a new one.
//
// A server under test needs nothing but a NATS server with JetStream. Cases that
// stop servers which cannot bear them come last.
package conform
