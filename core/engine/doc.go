// Package engine is the background process of a run: it owns the model, the device and the run folder,
// trains, and answers what a person asks in between.
//
//	open.go      a configuration becomes a model, judges, prompts and options
//	group.go     several processes that train together: the first is the engine, the others follow
//	compare.go   beside it: an evaluation of finished runs, which trains nothing
package engine
