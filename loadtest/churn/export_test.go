package churn

import "wadm/loadtest/simhost"

// Counts splits n by weights; a weight of 0 stands for none given.
func Counts(n int, weights ...int) []int {
	var spreads []spread
	for _, w := range weights {
		spreads = append(spreads, spread{weight: w})
	}
	return counts(n, spreads)
}

// Differences checks a lattice against the world in which the named application,
// version v1, is all that is deployed.
func Differences(l *simhost.Lattice, w *World) []string {
	problems, _ := check(l, &w.world, nil)
	var out []string
	for _, p := range problems {
		out = append(out, p.text)
	}
	return out
}

// World is a small world for tests of the check itself.
type World struct{ world }

// SmallWorld wants 4 of shop-web, 3 in zone a and 1 anywhere, shop-db on one
// host, a daemon on hosts of zone b, and a link with a configuration.
func SmallWorld() *World {
	a := &app{name: "shop", version: "v1", works: []work{
		{
			name: "web", image: "web:1", instances: 4, configs: []conf{{"web-conf", map[string]string{"k": "v"}}},
			spreads: []spread{{name: "a", labels: map[string]string{"zone": "a"}, weight: 75}, {name: "any", weight: 25}},
			links:   []link{{target: "db", pkg: "store", iface: "rows"}},
		},
		{name: "db", provider: true, image: "db:1", instances: 1},
		{name: "log", image: "log:1", daemon: true, instances: 2, spreads: []spread{{name: "b", labels: map[string]string{"zone": "b"}}}},
	}}
	return &World{world{deployed: map[string]*app{"shop": a}, apps: map[string]bool{"shop": true}, outside: map[string]map[string]string{}}}
}
