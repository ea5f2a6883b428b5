// Package catalog stores what should run: the applications of every lattice,
// their versions in the order in which they were put, and which version is
// deployed.
//
// It lives in one key-value bucket. An application has a head,
// "{tenant}.{lattice}.{app}", with its versions, the deployed one and its recent
// changes, and one body per version, "{tenant}.{lattice}.{app}.{body}", with the
// manifest in canonical form. Body keys are unique for ever: a body is written
// once, before the head that names it, and removed after the head that no longer
// does. So a crash at any point leaves at worst an unreferenced body, which is
// swept later, and a body that was read once may be remembered for good.
//
// Guarantees. Every change is one conditional write of a head, retried against
// the newest head when somebody else was faster, until the caller's context
// ends: no concurrent change is lost, and a change either happened as a whole or
// not at all. A write whose acknowledgement got lost is recognised by its change
// id and not made twice. Reads see every change that was acknowledged before
// they began. A record that cannot be decoded is logged and skipped by everything
// that lists, and reported by everything that names it.
//
// Not guaranteed: that a condition over several applications is checked and written
// in one step ([Catalog.Deploy] asks once more after the write and takes back what is
// refused then), and an order between changes of different applications.
//
// The package knows no scheduler; [Catalog.Deployed] and [Catalog.Watch] have the
// shape of the port it declares. Tests run it on an embedded server.
package catalog
