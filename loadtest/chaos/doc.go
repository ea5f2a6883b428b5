// Package chaos runs real servers against simulated hosts while it breaks
// things on purpose, and checks what may never happen.
//
// A run is decided by its seed: which instance is killed, stopped, drained or
// cut off, which NATS server dies, and when. Instances and NATS servers are
// processes of their own; each instance reaches each NATS server through a TCP
// proxy of this package. Meanwhile every lattice is probed: an operator's hand
// removes work, and the time until it is back is the time nobody acted.
//
// What is checked, by number:
//
//	I1  the ledger: each claim succeeds the one it names, each write is fenced
//	    by the latest claim, epochs never fall, an epoch has one incarnation
//	I2  the hosts: no effect of an older epoch after one of a newer, none without
//	    a stored intent, none more often than it was stored (but links and
//	    configurations, which any host may be asked for a second time when the
//	    first is silent), nobody else's work touched; while nothing is broken, none
//	    that asks for what is so already
//	I3  every lattice has a living owner soon after the last fault
//	I4  no event that was stored is lost; where NATS is spared, hosts say so rarely
//	    how they are that a lattice whose event was lost counts as without an owner
//	I5  no event is acknowledged before its commands are stored
//	I6  nothing moves but by an agreed view, and then no more than must;
//	    nothing at all when only NATS or hosts suffer; no instance is given up but
//	    for what was done to itself
//	I7  who follows one view computes one ring; who computes another has part in
//	    nothing
//	I8  few claims are in flight at once, and views are few
//	I9  afterwards every host is right, everybody holds what the ring gives, and
//	    no further claim is made and no further effect asked for
//	I10 lattices whose hosts are well do not feel those whose hosts are not
//
// No instance ends by itself, whatever is broken around it. The history of claims,
// as it was seen on the wire, is checked for linearizability besides.
//
// Not claimed: that no effect is ever late. An instance that stops between its
// last check and the socket, for longer than the quarantine, delivers a stale
// effect; the tests show it, and that the checkers see it. Seeds stop instances
// there for at most [MostMidway].
//
// The proxies hold bytes back for at most [MostHold] and deliver them; longer
// interruptions lose them, as a broken connection does.
package chaos
