// Package e2e holds the server against real wasmCloud hosts and a real wash.
//
// Everything in it is a test behind the build tag e2e. The variable REAL names
// the folder with the programs wasmcloud and wash and the folder components;
// without it the tests fail, because a check that did not run must not look
// like one that passed. Run them with
//
//	make e2e REAL=folder
//
// The tests start NATS in their own process and everything else as processes,
// which end with them. One story is told from deploy to undeploy on three hosts
// that all parts of it share, because real components take long to compile;
// another on two hosts with two instances of the server, whose owner of the lattice
// is lost again and again. They need Linux and some ten minutes on two cores.
package e2e
