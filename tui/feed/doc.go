// Package feed reads what the screen shows of a run: its events ([Run] follows them into a [Store]), its kept
// images ([Gallery]), the results of prompts and repairs ([Results]), image files with what is laid over them
// ([Drawing]), and the list of runs ([Lister]).
package feed
