// Threads that share the work of one operation.
#ifndef GLEN_TEAM_H
#define GLEN_TEAM_H

typedef struct glen_team glen_team;

// A team of the caller and `workers` threads; fewer where the system gives no more, null where
// there is no memory. The threads sleep while there is nothing to do.
glen_team *glen_team_create(int workers);

// Ends the threads. No call of glen_team_run may be under way.
void glen_team_destroy(glen_team *team);

// Calls work(context, part) for each part in [0, parts), on the caller and the team's threads, and
// returns after the last. A team serves one caller at a time: if it is taken, by another thread or by
// the caller's own work, the caller does all parts itself. `parts` is at most 4095.
void glen_team_run(glen_team *team, int parts, void (*work)(void *context, int part),
                   void *context);

#endif
