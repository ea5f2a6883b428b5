// Package e2e holds the server against real wasmCloud hosts, a real wash and
// upstream's server.
//
// Everything in it is a test behind the build tag e2e. The variable REAL names
// the folder with the programs wasmcloud, wadm-upstream and wash and the folder
// components; without it the tests fail, because a check that did not run must not
// look like one that passed. Run them with
//
//	make e2e REAL=folder
//
// The tests start NATS in their own process and everything else as processes,
// which end with them. One story is told from deploy to undeploy on three hosts
// that all parts of it share, because real components take long to compile;
// another on two hosts with two instances of the server, whose owner of the lattice
// is lost again and again, each time when hosts have done a part of what was asked
// for: what they tell and show around the signal has to prove that; a third one of an
// installation that goes over from upstream's server, back and over again. They need
// Linux and some fifteen minutes on two cores.
package e2e
