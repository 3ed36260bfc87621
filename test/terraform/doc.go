// Package terraform tests what is under terraform/ without an account of AWS:
//
//	plans_test.go    format, validity, a plan and an apply of every example against a mock of the provider, refusals
//	moto_test.go     a real apply and destroy against moto, which serves AWS' APIs out of memory
//	policy_test.go   reads policies of IAM and of buckets, and says whether they let a request through
//	calls_test.go    requests to the bucket, as a proxy sees them that asks the policies first
//	suites_test.go   what the conformance suites send, compared with what policies and Redis' ACL grant
//	instance_test.go the script with which an instance starts, run with programs that only note their calls
//	pool_test.go     a pool that works under those policies, its metrics and its end, compared with the plan
//
// plans/ is what terraform tests, moto/ the server, readme/ writes the modules' READMEs. terraform must be in PATH; the
// provider comes from a mirror on this machine if there is one, else from its registry. On no floor.
package terraform
