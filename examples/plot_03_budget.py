"""
Can a budget be met, and how sure is that?
==========================================

"The error rates of two groups must not differ by more than 0.08." This example searches
for such a model on Adult, for women and men and for people of five races.
"""

# %%
# Half of the people are held out: they play no part in the search.
from sklearn.model_selection import train_test_split

from fairtask.datasets import fetch_adult

adult = fetch_adult()
X_train, X_test, y_train, y_test, people_train, people_test = train_test_split(
    *(adult.data, adult.target, adult.sensitive_features),
    train_size=10_000,
    random_state=0,
)

# %%
# The search trains the networks of six values of ``lam`` at once, in each of three
# folds. It chooses the best AUC of those whose equalized-odds difference is within the
# budget, on average over the folds.
from fairtask import AuxiliaryFairnessClassifierCV

search = AuxiliaryFairnessClassifierCV(lams=6, cv=3, budget=0.08, random_state=0)
search.fit(X_train, y_train, sensitive_features=people_train["sex"])
display = search.plot_front()

# %%
# An average over folds is no guarantee: of several candidates near the budget, the one
# that just meets it has often been lucky. ``choose_within_budget`` tests candidates on
# the people who were held out. One qualifies if an upper limit of its difference is
# within the budget; the limit is exact, for any number of people.
from fairtask.model_selection import choose_within_budget, fit_candidates

candidates = fit_candidates(
    search, X_train, y_train, sensitive_features=people_train["sex"]
)
choice = choose_within_budget(
    candidates, X_test, y_test, sensitive_features=people_test["sex"], budget=0.08
)
print(choice.reason)
choice.table.round(3)

# %%
# Between races the same models may differ by less or more, but no limit shows it: some
# groups are small. The answer is not "the best that there is", but none, with the
# reason. ``choice.estimator`` would raise an error.
choice = choose_within_budget(
    candidates, X_test, y_test, sensitive_features=people_test["race"], budget=0.08
)
print(choice.reason)

# %%
# What can be done: hold out more people of these groups, allow a larger difference and
# test it on others, or say beforehand that the decision is about the large groups.
people_test["race"].value_counts()
