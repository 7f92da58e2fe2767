// Package plan is a plan as a value: the partitions before and after, the actions that lead
// from one to the other, and the laws that hold for every plan, whoever made it (Check).
// It decides nothing: package planner makes plans, package executor carries them out, and
// both know them from here. A plan is complete and survives JSON; what can be known only
// while it is carried out, such as a UUID that comes from a root hash, is marked as derived.
package plan
