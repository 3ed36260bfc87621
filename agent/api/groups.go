package api

// Groups is the group engine, agent/group, as the files of the group keys (08, 09, 11-16, 42, 47) need it.
type Groups any
