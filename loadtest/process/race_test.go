//go:build race

package process_test

// raced: the tests run with the race detector, so the server does too.
const raced = true
