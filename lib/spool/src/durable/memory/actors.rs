//! Several programs at once: threads of which only the one that holds the turn runs.

use super::Shared;
use super::dice::Dice;
use super::state::State;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, MutexGuard, PoisonError};

thread_local! {
    /// Which world this thread is an actor of, by address, and which actor it is.
    static ACTOR: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

#[derive(Clone, Default)]
struct Actor {
    steps: u64,
    dies_at: Option<u64>,
    is_dead: bool,
    is_done: bool,
}

#[derive(Clone)]
pub(super) struct Actors {
    actors: Vec<Actor>,
    deaths: Vec<(usize, u64)>,
    /// Whose turn it is.
    running: Option<usize>,
    /// Whose call is being served; none for a thread that is no actor.
    speaker: Option<usize>,
    dice: Dice,
    /// Chances of 16 that the turn passes at a call.
    switch_chances: u64,
    /// Who goes on, and for how many calls, where the test decides that.
    turns: Option<VecDeque<(usize, u64)>>,
    /// Calls left of the turn that was given.
    left: u64,
}

impl Actors {
    pub fn none() -> Actors {
        Actors {
            actors: Vec::new(),
            deaths: Vec::new(),
            running: None,
            speaker: None,
            dice: Dice::new(0),
            switch_chances: 0,
            turns: None,
            left: 0,
        }
    }

    pub fn plan_death(&mut self, actor: usize, n: u64) {
        self.deaths.push((actor, n));
    }

    pub fn speaker(&self) -> Option<usize> {
        self.speaker
    }

    pub fn speaker_is_dead(&self) -> bool {
        self.speaker.is_some_and(|actor| self.actors[actor].is_dead)
    }

    /// Counts a step of who speaks; it, if this is the step at which it dies.
    pub fn speaker_dies_now(&mut self) -> Option<usize> {
        let speaker = self.speaker?;
        let actor = &mut self.actors[speaker];
        actor.steps += 1;
        actor.is_dead = actor.dies_at == Some(actor.steps);
        actor.is_dead.then_some(speaker)
    }

    fn begin(&mut self, order: Order, actor_count: usize) {
        match order {
            Order::Seed(seed) => {
                self.dice = Dice::new(seed);
                // Some races want a switch at every call, others two in the right places.
                self.switch_chances = [1, 4, 8][self.dice.between(0, 2)];
            }
            Order::Turns(turns) => self.turns = Some(turns.iter().copied().collect()),
        }
        self.actors = vec![Actor::default(); actor_count];
        for (actor, n) in self.deaths.drain(..) {
            self.actors[actor].dies_at = Some(n);
        }
        self.pass_turn();
    }

    fn end(&mut self) {
        self.actors.clear();
        (self.running, self.speaker, self.turns) = (None, None, None);
    }

    fn pass_turn(&mut self) {
        if let Some(turns) = &mut self.turns {
            let is_ready = |&(actor, calls): &(usize, u64)| calls > 0 && !self.actors[actor].is_done;
            let next = std::iter::from_fn(|| turns.pop_front()).find(is_ready);
            let first_ready = || Some((self.actors.iter().position(|actor| !actor.is_done)?, u64::MAX));
            let next = next.or_else(first_ready);
            (self.running, self.left) = (next.map(|(actor, _)| actor), next.map_or(0, |(_, calls)| calls));
            return;
        }
        let ready: Vec<usize> = (0..self.actors.len()).filter(|&actor| !self.actors[actor].is_done).collect();
        self.running = match ready.len() {
            0 => None,
            count => Some(ready[self.dice.below(count as u64) as usize]),
        };
    }
}

/// Who decides whose turn it is.
#[derive(Clone, Copy)]
pub(super) enum Order<'a> {
    Seed(u64),
    Turns(&'a [(usize, u64)]),
}

pub(super) fn interleave(shared: &Arc<Shared>, order: Order, actors: Vec<Box<dyn FnOnce() + Send + '_>>) {
    shared.lock().actors.begin(order, actors.len());
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let run = |(index, actor)| scope.spawn(move || act(shared, index, actor));
        let threads: Vec<_> = actors.into_iter().enumerate().map(run).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    shared.lock().actors.end();
    if let Some(panic) = outcomes.into_iter().find_map(Result::err) {
        std::panic::resume_unwind(panic);
    }
}

fn act(shared: &Arc<Shared>, index: usize, actor: Box<dyn FnOnce() + Send + '_>) {
    // Made first, so that a panic passes the turn on as well.
    let _turn = Turn { shared, index };
    ACTOR.set(Some((Arc::as_ptr(shared).addr(), index)));
    drop(shared.wait_for_turn(shared.lock(), index));
    actor();
}

/// Passes the turn on when its actor is done, however it ends.
struct Turn<'a> {
    shared: &'a Shared,
    index: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.actors.actors[self.index].is_done = true;
        state.actors.pass_turn();
        self.shared.turn.notify_all();
    }
}

impl Shared {
    /// Begins a call: waits until it is this thread's turn, then asks whether it may go on.
    pub fn enter(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let actor = self.actor_of_this_thread();
        if let Some(index) = actor {
            state = self.offer_turn(state, index);
        }
        state.actors.speaker = actor;
        state.admit_call()?;
        Ok(state)
    }

    fn actor_of_this_thread(&self) -> Option<usize> {
        let (world, index) = ACTOR.get()?;
        (world == std::ptr::from_ref(self).addr()).then_some(index)
    }

    fn offer_turn<'a>(&'a self, mut state: MutexGuard<'a, State>, index: usize) -> MutexGuard<'a, State> {
        let chances = state.actors.switch_chances;
        let is_over = match state.actors.turns {
            Some(_) => state.actors.left == 0,
            None => state.actors.dice.happens(chances),
        };
        if is_over {
            state.actors.pass_turn();
            if state.actors.running != Some(index) {
                self.turn.notify_all();
            }
        }
        let mut state = self.wait_for_turn(state, index);
        state.actors.left = state.actors.left.saturating_sub(1);
        state
    }

    fn wait_for_turn<'a>(&'a self, state: MutexGuard<'a, State>, index: usize) -> MutexGuard<'a, State> {
        let not_yet = |state: &mut State| state.actors.running != Some(index);
        self.turn.wait_while(state, not_yet).unwrap_or_else(PoisonError::into_inner)
    }
}
