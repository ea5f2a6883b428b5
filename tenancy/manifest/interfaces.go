package manifest

import "slices"

// knownInterfaces lists, by namespace and package, the interfaces that a
// misspelling is likely to mean. Other namespaces may hold anything.
var knownInterfaces = map[string]map[string][]string{
	"wrpc": {
		"blobstore": {"blobstore"},
		"keyvalue":  {"atomics", "store"},
		"http":      {"incoming-handler", "outgoing-handler"},
	},
	"wasi": {
		"blobstore": {"blobstore"},
		"config":    {"runtime"},
		"keyvalue":  {"atomics", "store", "batch", "watch"},
		"http":      {"incoming-handler", "outgoing-handler"},
		"logging":   {"logging"},
	},
	"wasmcloud": {
		"messaging": {"consumer", "handler"},
	},
}

// isUnrecognised tells whether a namespace we know lacks the interface.
func isUnrecognised(namespace, pkg, iface string) bool {
	packages, ok := knownInterfaces[namespace]
	return ok && !slices.Contains(packages[pkg], iface)
}
